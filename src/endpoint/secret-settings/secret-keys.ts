/** The keys with which Berth encrypts secrets. */
import { createSecretKey, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../../domain/fault.ts";
import type { SealKey, SealKeys } from "../../util/sealed-text.ts";
import { writeOnce } from "../../util/write-once.ts";

export type SecretKeys = SealKeys;

const KEY_BYTES = 32;
const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;
const ACCEPTED = "id:key, with a key of 32 bytes in base64; several are separated by commas or lines";

/** Throws `config_invalid`, which never shows a key. */
export function parseSecretKeys(text: string, name: string): SecretKeys {
  const all = text
    .split(/[,\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part, place) => parseKey(part, `${name}: key ${place + 1}`));
  const [first] = all;
  const byId = new Map(all.map((one) => [one.id, one]));
  if (first === undefined) throw invalid(`${name} contains no key`);
  if (byId.size < all.length) throw invalid(`${name} contains two keys with the same id`);
  return { first, byId };
}

function parseKey(part: string, where: string): SealKey {
  const colon = part.indexOf(":");
  const id = part.slice(0, Math.max(0, colon));
  const text = part.slice(colon + 1);
  const bytes = Buffer.from(text, "base64");
  if (!KEY_ID.test(id)) throw invalid(`${where} has no id of letters, digits, "_" and "-"`);
  if (bytes.length !== KEY_BYTES || !/^[A-Za-z0-9+/_-]{43}=?$/.test(text))
    throw invalid(`${where} (${id}) is not ${KEY_BYTES} bytes in base64`);
  return { id, key: createSecretKey(bytes) };
}

function invalid(problem: string): Fault {
  return new Fault("config_invalid", `${problem}; accepted: ${ACCEPTED}.`, {
    details: { field: "BERTH_SECRET_KEYS", value: null, accepted: ACCEPTED },
  });
}

/** The keys in the data folder; the first start creates one. Only the file's owner can read it. */
export async function readOrMakeSecretKeys(dataFolder: string): Promise<SecretKeys> {
  const path = join(dataFolder, "secret-keys");
  const known = await readFile(path, "utf8").catch(() => undefined);
  const text = known ?? (await writeOnce(path, `k${randomBytes(4).toString("hex")}:${newKey()}\n`));
  return parseSecretKeys(text, path);
}

function newKey(): string {
  return randomBytes(KEY_BYTES).toString("base64");
}
