/** RSA keys of signatures, in PEM files. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair as generate,
  type KeyObject,
} from "node:crypto";
import { promisify } from "node:util";
import { invalidInput } from "../../domain/fault.ts";

/** Shorter keys can be broken. */
const BITS_MIN = 2048;
const BITS_NEW = 4096;
const PEM_CHARS_MAX = 16_384;

export interface PublicKey {
  /** SHA-256 over the DER form (SPKI), hex. */
  readonly id: string;
  /** In the form `RSA PUBLIC KEY`, which other tools for such packages require, whatever form it was read from. */
  readonly pem: string;
}

/**
 * Reads a PEM of an RSA public key, `RSA PUBLIC KEY` or `PUBLIC KEY`. Throws `invalid_input` that names `field`, also for a
 * private key, which its owner must not give away.
 */
export function parsePublicKey(pem: string, field: string): PublicKey {
  const accepted = `a PEM file with one RSA public key of ${BITS_MIN} bits or more`;
  if (/PRIVATE KEY-----/.test(pem))
    throw invalidInput(field, "a private key (not shown)", `${accepted}; keep the private key to yourself`);
  const key = readKey(pem, /^\s*-----BEGIN (RSA )?PUBLIC KEY-----[^-]+-----END \1?PUBLIC KEY-----\s*$/, () =>
    createPublicKey(pem),
  );
  if (key === undefined) throw invalidInput(field, pem.slice(0, 60), accepted);
  checkSize(key, field, accepted);
  const der = key.export({ type: "spki", format: "der" });
  // Read again from DER: Node 24 cannot export a key as PKCS#1 that it has read as PKCS#1.
  const again = createPublicKey({ key: der, type: "spki", format: "der" });
  return {
    id: createHash("sha256").update(der).digest("hex"),
    pem: again.export({ type: "pkcs1", format: "pem" }).toString(),
  };
}

/** Throws `invalid_input` without showing anything of the key. */
export function parsePrivateKey(pem: string, field: string): KeyObject {
  const accepted = `a PEM file with one RSA private key of ${BITS_MIN} bits or more, without a passphrase`;
  const key = readKey(pem, /-----BEGIN (RSA )?PRIVATE KEY-----/, () => createPrivateKey(pem));
  if (key === undefined) throw invalidInput(field, "(not shown)", accepted);
  checkSize(key, field, accepted);
  return key;
}

/** PEM texts of a new key pair, in the form that other tools for such packages read. */
export async function generateKeyPair(): Promise<{
  readonly privateKey: string;
  readonly publicKey: string;
}> {
  return promisify(generate)("rsa", {
    modulusLength: BITS_NEW,
    publicKeyEncoding: { type: "pkcs1", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
}

function readKey(pem: string, shape: RegExp, read: () => KeyObject): KeyObject | undefined {
  if (pem.length > PEM_CHARS_MAX || !shape.test(pem)) return undefined;
  try {
    const key = read();
    return key.asymmetricKeyType === "rsa" ? key : undefined;
  } catch {
    return undefined;
  }
}

function checkSize(key: KeyObject, field: string, accepted: string): void {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < BITS_MIN) throw invalidInput(field, `${bits} bits`, accepted);
}
