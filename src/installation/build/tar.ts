import { Readable } from "node:stream";
import { pack } from "tar-stream";

export interface TarFile {
  readonly path: string;
  readonly content: Buffer;
}

/** One date for all: the same files give the same bytes, whenever they are packed. */
const DATE = new Date("2000-01-01T00:00:00Z");

/** A tar of root-owned, world-readable files; `folders` and the folders of the files come first. */
export function tarOf(
  files: Iterable<TarFile> | AsyncIterable<TarFile>,
  folders: readonly string[],
): Readable {
  const tar = pack();
  const made = new Set<string>();
  const folder = (path: string) => {
    if (path === "" || made.has(path)) return;
    folder(path.slice(0, Math.max(0, path.lastIndexOf("/"))));
    made.add(path);
    tar.entry({ name: `${path}/`, type: "directory", mode: 0o755, uid: 0, gid: 0, mtime: DATE });
  };
  const put = ({ path, content }: TarFile) =>
    new Promise<void>((resolve, reject) => {
      const header = { name: path, mode: 0o644, uid: 0, gid: 0, mtime: DATE, size: content.length };
      tar.entry(header, content, (error) => (error ? reject(error) : resolve()));
    });
  const fill = async () => {
    for (const path of folders) folder(path);
    for await (const file of files) {
      folder(file.path.slice(0, Math.max(0, file.path.lastIndexOf("/"))));
      await put(file);
    }
    tar.finalize();
  };
  fill().catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(tar);
}
