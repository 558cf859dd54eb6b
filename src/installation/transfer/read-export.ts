import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import { Fault, isFault } from "../../domain/fault.ts";
import {
  CONTENTS,
  type Content,
  type ContentName,
  type ExportManifest,
  exportInvalid,
  MANIFEST,
  parseManifest,
} from "./manifest.ts";

type Entry = ReturnType<typeof extract> extends AsyncIterable<infer E> ? E : never;

export interface ExportBounds {
  readonly manifestBytesMax: number;
  readonly contentBytesMax: Readonly<Record<ContentName, number>>;
}

/**
 * Unpacks an export into the folder as it arrives, under fixed names. Resolves once all entries are there with the
 * lengths and digests of the manifest. Throws `export_invalid` and `payload_too_large`.
 */
export async function readExport(
  body: AsyncIterable<Uint8Array>,
  { folder, bounds }: { readonly folder: string; readonly bounds: ExportBounds },
  signal: AbortSignal,
): Promise<ExportManifest> {
  const tar = extract();
  const arriving = pipeline(Readable.from(body), tar, { signal });
  // The iteration throws its failure.
  arriving.catch(() => undefined);
  let manifest: ExportManifest | undefined;
  const waiting: ContentName[] = [...CONTENTS];
  try {
    for await (const entry of tar) {
      const { name } = entry.header;
      if (manifest === undefined) {
        manifest = await readManifest(entry, bounds.manifestBytesMax);
        continue;
      }
      const expected = waiting.shift();
      const content = manifest.contents.find((listed) => listed.name === expected);
      if (content === undefined || name !== expected || entry.header.type !== "file")
        throw exportInvalid(`it has an entry ${JSON.stringify(name)} in place of ${expected ?? "its end"}`);
      await keep(entry, { content, folder, bytesMax: bounds.contentBytesMax[content.name] }, signal);
    }
    await arriving;
  } catch (error) {
    signal.throwIfAborted();
    throw isFault(error) ? error : exportInvalid("it is not a whole tar file");
  }
  if (manifest === undefined || waiting.length > 0)
    throw exportInvalid(`it ends before ${waiting[0] ?? MANIFEST}`);
  return manifest;
}

async function readManifest(entry: Entry, bytesMax: number): Promise<ExportManifest> {
  const { name, size = 0 } = entry.header;
  if (name !== MANIFEST || size > bytesMax) throw exportInvalid(`it does not begin with ${MANIFEST}`);
  return parseManifest(await buffer(entry));
}

async function keep(
  entry: Entry,
  { content, folder, bytesMax }: { content: Content; folder: string; bytesMax: number },
  signal: AbortSignal,
): Promise<void> {
  const { name, bytes, sha256 } = content;
  if (entry.header.size !== bytes) throw exportInvalid(`the length of ${name} differs from the manifest`);
  if (bytes > bytesMax) throw tooLarge(name, bytes, bytesMax);
  const hash = createHash("sha256");
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(entry, hashing, createWriteStream(join(folder, name), { mode: 0o600 }), { signal });
  if (hash.digest("hex") !== sha256)
    throw exportInvalid(`the digest of ${name} differs from the manifest`, name);
}

function tooLarge(name: string, bytes: number, bytesMax: number): Fault {
  return new Fault("payload_too_large", `The export's ${name} has more than ${bytesMax} bytes.`, {
    details: { field: name, value: bytes, accepted: `at most ${bytesMax} bytes` },
  });
}
