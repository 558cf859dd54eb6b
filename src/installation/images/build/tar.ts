import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";

export type TarEntry =
  | { readonly type: "folder"; readonly path: string }
  | {
      readonly type: "file";
      readonly path: string;
      readonly bytes: number;
      readonly content: Readable | Buffer;
    };

/** One date for all entries: the same files give the same bytes, whenever they are packed. */
const DATE = new Date("2000-01-01T00:00:00Z");

/**
 * A tar of root-owned, world-readable files, in the order of the entries, packed while it is read; `entries` names a
 * folder before its contents. A failing entry fails the stream.
 */
export function tarOf(entries: Iterable<TarEntry> | AsyncIterable<TarEntry>): Readable {
  const tar = pack();
  const common = { uid: 0, gid: 0, mtime: DATE };
  const fill = async () => {
    for await (const entry of entries) {
      if (entry.type === "folder") {
        tar.entry({ ...common, name: `${entry.path}/`, type: "directory", mode: 0o755 });
        continue;
      }
      const sink = tar.entry({ ...common, name: entry.path, mode: 0o644, size: entry.bytes });
      await pipeline(Buffer.isBuffer(entry.content) ? Readable.from([entry.content]) : entry.content, sink);
    }
    tar.finalize();
  };
  fill().catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(tar);
}
