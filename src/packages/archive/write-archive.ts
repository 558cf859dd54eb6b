import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { ZipFile } from "yazl";

export interface ArchiveEntry {
  /** In the archive; a path that `parseArchivePath` accepts. */
  readonly path: string;
  readonly content: Buffer | { readonly file: string };
}

/** Writes a new file. One time and one mode for all entries: the archive depends on their contents alone. */
export async function writeArchive(path: string, entries: Iterable<ArchiveEntry>): Promise<void> {
  const zip = new ZipFile();
  const failed = Promise.withResolvers<never>();
  zip.on("error", failed.reject);
  const same = { mtime: new Date(1980, 0, 1), mode: 0o100644, forceDosTimestamp: true };
  for (const { path: name, content } of entries) {
    if (Buffer.isBuffer(content)) zip.addBuffer(content, name, same);
    else zip.addFile(content.file, name, same);
  }
  const out = createWriteStream(path, { flags: "wx" });
  zip.end();
  try {
    await Promise.race([pipeline(zip.outputStream, out), failed.promise]);
  } finally {
    out.destroy();
  }
}
