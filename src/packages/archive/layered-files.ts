import { Readable } from "node:stream";
import { fileTooLarge, type PackageFiles } from "./archive.ts";

/** Both sets of files as one; a file in both is the overlay's. */
export function layerFiles(below: PackageFiles, overlay: ReadonlyMap<string, Buffer>): PackageFiles {
  const added = [...overlay.keys()].filter((path) => !below.has(path));
  return {
    paths: [...below.paths, ...added],
    has: (path) => overlay.has(path) || below.has(path),
    bytesOf: (path) => overlay.get(path)?.length ?? below.bytesOf(path),
    read: async (path, bytesMax) => {
      const bytes = overlay.get(path);
      if (bytes === undefined) return below.read(path, bytesMax);
      if (bytes.length > bytesMax) throw fileTooLarge(path, bytes.length, bytesMax);
      return bytes;
    },
    stream: (path) => {
      const bytes = overlay.get(path);
      return bytes === undefined ? below.stream(path) : Readable.from([bytes], { objectMode: false });
    },
  };
}
