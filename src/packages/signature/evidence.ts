/**
 * What an archive brings for a decision about trust: its signature, what that covers, and the category that the signer
 * vouched for. Plain data, so that it may be read on another thread and judged later.
 */
import { constants, verify } from "node:crypto";
import { z } from "zod";
import { SIGNATURE_CATEGORIES, type SignatureCategory } from "../../domain/trust.ts";
import type { Archive } from "../archive/archive.ts";
import { type ArchiveSignature, parseSignatureComment } from "./comment.ts";

/** The entry in which a signer says what the package is. */
export const CATEGORY_RECORD = ".verification.dify.json";
const RECORD_BYTES_MAX = 4096;

export interface SignedEntry {
  readonly path: string;
  /** SHA-256 of its content, hex. */
  readonly sha256: string;
}

export interface SignatureEvidence {
  /** Undefined: the archive is unsigned. */
  readonly signature: ArchiveSignature | undefined;
  /** In the order of the archive's directory, which is that of the signed data. */
  readonly entries: readonly SignedEntry[];
  readonly record: CategoryRecord;
}

/** `missing`: packages of the time before categories have none. `unknown`: it is there and says nothing that we know. */
export type CategoryRecord = SignatureCategory | "missing" | "unknown";

const Record = z.object({ authorized_category: z.enum(SIGNATURE_CATEGORIES) });

/** `digests`: SHA-256 of each entry's content, as `digestsOf` reads them. */
export async function readEvidence(
  archive: Archive,
  digests: ReadonlyMap<string, Buffer>,
): Promise<SignatureEvidence> {
  const entries = archive.paths.map((path) => ({ path, sha256: digests.get(path)?.toString("hex") ?? "" }));
  return {
    signature: parseSignatureComment(archive.comment),
    entries,
    record: await readRecord(archive),
  };
}

async function readRecord(archive: Archive): Promise<CategoryRecord> {
  const entry = archive.entries.find(({ path }) => path === CATEGORY_RECORD);
  if (entry === undefined) return "missing";
  if (entry.bytes > RECORD_BYTES_MAX) return "unknown";
  return parseRecord(await archive.read(CATEGORY_RECORD, RECORD_BYTES_MAX));
}

function parseRecord(content: Buffer): CategoryRecord {
  try {
    const { success, data } = Record.safeParse(JSON.parse(content.toString("utf8")));
    return success ? data.authorized_category : "unknown";
  } catch {
    return "unknown";
  }
}

/** Byte for byte as other tools write and read it. */
export function formatRecord(category: SignatureCategory): Buffer {
  return Buffer.from(`{"authorized_category":"${category}"}`);
}

/** What a signature is made over: the digests in order, then the time in decimal. Names, times and modes are not in it. */
export function signedData(entries: readonly Pick<SignedEntry, "sha256">[], time: number): Buffer {
  return Buffer.concat([
    ...entries.map(({ sha256 }) => Buffer.from(sha256, "hex")),
    Buffer.from(String(time)),
  ]);
}

/** The first of the keys that made the signature over these entries, in this order; undefined: none of them did. */
export function findSigner<K extends { readonly pem: string }>(
  { signature, time }: ArchiveSignature,
  entries: readonly SignedEntry[],
  keys: readonly K[],
): K | undefined {
  const data = signedData(entries, time);
  const bytes = Buffer.from(signature, "base64");
  return keys.find(({ pem }) =>
    verify("sha256", data, { key: pem, padding: constants.RSA_PKCS1_PADDING }, bytes),
  );
}
