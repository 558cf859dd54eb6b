/**
 * Text or bytes, encrypted with AES-256-GCM, each time with its own nonce, and bound to a place, so that it cannot be
 * decrypted elsewhere. The key's id is stored with it, so that keys can be rotated.
 */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from "node:crypto";

/** All keys, by the ids that encrypted texts carry. */
export interface SealKeys {
  /** Encrypts; all keys decrypt. */
  readonly first: SealKey;
  readonly byId: ReadonlyMap<string, SealKey>;
}

export interface SealKey {
  /** Stored with everything that it has encrypted. */
  readonly id: string;
  readonly key: KeyObject;
}

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** `berth:1:<key id>:<nonce>:<ciphertext and tag>` */
const SEALED = /^berth:1:([A-Za-z0-9_-]{1,32}):([A-Za-z0-9_-]{16}):([A-Za-z0-9_-]{22,})$/;

export function isSealedText(value: unknown): value is string {
  return typeof value === "string" && SEALED.test(value);
}

export function sealText(keys: SealKeys, place: readonly string[], text: string): string {
  return sealBytes(keys, place, Buffer.from(text));
}

export function sealBytes({ first }: SealKeys, place: readonly string[], bytes: Buffer): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, first.key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(boundTo(place));
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  return `berth:1:${first.id}:${nonce.toString("base64url")}:${sealed.toString("base64url")}`;
}

/** Throws an error whose message says why it cannot be read, without the text; the caller knows whose it is. */
export function openText(keys: SealKeys, place: readonly string[], sealed: string): string {
  return openBytes(keys, place, sealed).toString();
}

/** Throws as `openText`. */
export function openBytes({ byId }: SealKeys, place: readonly string[], sealed: string): Buffer {
  const [, keyId = "", nonce = "", body = ""] = SEALED.exec(sealed) ?? [];
  const known = byId.get(keyId);
  if (known === undefined)
    throw new Error(`it was encrypted with the key ${keyId}, which BERTH_SECRET_KEYS does not contain`);
  const bytes = Buffer.from(body, "base64url");
  try {
    const decipher = createDecipheriv(CIPHER, known.key, Buffer.from(nonce, "base64url"), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(boundTo(place)).setAuthTag(bytes.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]);
  } catch (cause) {
    throw new Error(`it was modified, belongs elsewhere, or ${keyId} now names another key`, { cause });
  }
}

/** As JSON, so that no two places give the same text. */
function boundTo(place: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify(place));
}
