import { constants, createHash, type KeyObject, randomUUID, sign } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ZipFile } from "yazl";
import type { SignatureCategory } from "../../domain/trust.ts";
import { type Archive, type ArchiveLimits, openArchive } from "../archive/archive.ts";
import { formatSignatureComment } from "./comment.ts";
import { CATEGORY_RECORD, formatRecord, signedData } from "./evidence.ts";

export interface SignRequest {
  readonly file: string;
  /** An existing file is replaced; it may be `file` itself. */
  readonly output: string;
  readonly key: KeyObject;
  /** Written into the archive, which changes its checksum and the package's identifier. Undefined changes neither. */
  readonly category: SignatureCategory | undefined;
  /** Unix time in seconds. */
  readonly time: number;
  readonly limits: ArchiveLimits;
}

/**
 * Writes the archive again with the same entries in the same order, the category's record last, and the signature as its
 * comment. An earlier signature is replaced, and an earlier record where a category is given. Throws what reading an
 * archive throws; the output is unchanged then.
 */
export async function signArchive(request: SignRequest): Promise<void> {
  const { file, output, key, category, time, limits } = request;
  await using archive = await openArchive(file, limits);
  // An earlier record goes: a second entry of that name would make the archive unreadable.
  const paths = archive.paths.filter((path) => category === undefined || path !== CATEGORY_RECORD);
  const contents = paths.map((path) => ({ path, read: () => readWhole(archive, path, limits) }));
  if (category !== undefined)
    contents.push({ path: CATEGORY_RECORD, read: async () => formatRecord(category) });
  const entries: { readonly sha256: string }[] = [];
  for (const { read } of contents)
    entries.push({
      sha256: createHash("sha256")
        .update(await read())
        .digest("hex"),
    });
  const signature = sign("sha256", signedData(entries, time), {
    key,
    padding: constants.RSA_PKCS1_PADDING,
  }).toString("base64");
  const draft = join(dirname(output), `.${randomUUID()}.difypkg.part`);
  try {
    await writeZip(draft, contents, formatSignatureComment({ signature, time }));
    await rename(draft, output);
  } finally {
    await rm(draft, { force: true });
  }
}

interface Content {
  readonly path: string;
  readonly read: () => Promise<Buffer>;
}

function readWhole(archive: Archive, path: string, { entryBytesMax }: ArchiveLimits): Promise<Buffer> {
  return archive.read(path, entryBytesMax);
}

/** One time and one mode for all, as packing does it. */
async function writeZip(path: string, contents: readonly Content[], comment: string): Promise<void> {
  const zip = new ZipFile();
  const failed = Promise.withResolvers<never>();
  zip.on("error", failed.reject);
  const options = { mtime: new Date(1980, 0, 1), mode: 0o100644, forceDosTimestamp: true } as const;
  for (const { path: entry, read } of contents) zip.addBuffer(await read(), entry, options);
  zip.end({ comment, forceZip64Format: false });
  const out = createWriteStream(path, { flags: "wx" });
  try {
    await Promise.race([pipeline(zip.outputStream, out), failed.promise]);
  } finally {
    out.destroy();
  }
}
