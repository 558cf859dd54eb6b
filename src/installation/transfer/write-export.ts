import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";
import { CONTENTS, type Content, type ContentName, type ExportManifest, MANIFEST } from "./manifest.ts";

/** Writes a stream to a file and answers its entry of the manifest. */
export async function gather(
  { folder, name }: { readonly folder: string; readonly name: ContentName },
  content: Readable,
  signal: AbortSignal,
): Promise<Content> {
  const hash = createHash("sha256");
  let bytes = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  await pipeline(content, counter, createWriteStream(join(folder, name), { mode: 0o600 }), { signal });
  return { name, bytes, sha256: hash.digest("hex") };
}

const BLOCK = 512;
const padded = (bytes: number) => Math.ceil(bytes / BLOCK) * BLOCK;

/** The export as a stream, which reads from the folder while it is sent, and its length in bytes. */
export async function exportStream(
  folder: string,
  manifest: ExportManifest,
): Promise<{ readonly bytes: number; readonly content: Readable }> {
  const head = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
  const tar = pack();
  const mtime = new Date(manifest.exported_at);
  const fill = async () => {
    tar.entry({ name: MANIFEST, mtime, mode: 0o644 }, head);
    for (const name of CONTENTS) {
      const path = join(folder, name);
      const sink = tar.entry({ name, mtime, mode: 0o644, size: (await stat(path)).size });
      await pipeline(createReadStream(path), sink);
    }
    tar.finalize();
  };
  fill().catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  const sizes = [head.length, ...manifest.contents.map(({ bytes }) => bytes)];
  const bytes = sizes.reduce((sum, size) => sum + BLOCK + padded(size), 2 * BLOCK);
  return { bytes, content: Readable.from(tar) };
}
