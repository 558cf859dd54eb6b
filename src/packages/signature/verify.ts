import { constants, verify } from "node:crypto";
import type { ArchiveSignature } from "./comment.ts";
import { type SignedEntry, signedData } from "./evidence.ts";

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
