import type { FileStore, StoredFile } from "./file-store.ts";

export interface FormerFilesOptions {
  readonly files: FileStore;
  readonly former: FileStore;
}

/**
 * Files whose store took the place of another, as a bucket does of the folder when it is set: what stands only in the
 * former one is still read and listed, until it is written anew or removed.
 */
export function withFormerFiles({ files, former }: FormerFilesOptions): FileStore {
  return {
    read: async (path) => (await files.read(path)) ?? (await former.read(path)),
    size: async (path) => (await files.size(path)) ?? (await former.size(path)),
    write: async (path, bytes) => {
      await files.write(path, bytes);
      await former.remove(path);
    },
    writeFrom: async (path, localFile) => {
      await files.writeFrom(path, localFile);
      await former.remove(path);
    },
    // The former one first: what is still in both would be found there again.
    remove: async (path) => {
      const was = await former.remove(path);
      return (await files.remove(path)) || was;
    },
    list: (folder, signal) => listBoth({ files, former }, folder, signal),
    removeFolder: async (folder) => {
      await former.removeFolder(folder);
      await files.removeFolder(folder);
    },
  };
}

async function* listBoth(
  { files, former }: FormerFilesOptions,
  folder: string,
  signal: AbortSignal,
): AsyncGenerator<StoredFile> {
  const seen = new Set<string>();
  for await (const file of files.list(folder, signal)) {
    seen.add(file.path);
    yield file;
  }
  for await (const file of former.list(folder, signal)) if (!seen.has(file.path)) yield file;
}
