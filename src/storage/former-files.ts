import type { FileStore, StoredFile } from "./file-store.ts";

export interface FormerFilesOptions {
  readonly files: FileStore;
  readonly former: FileStore;
}

/**
 * Files whose store has replaced another one, for example a bucket that has replaced the folder: files that exist only
 * in the former store are still read and listed, until they are written again or removed.
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
    // The former store first: else a file in both would still be found there.
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
