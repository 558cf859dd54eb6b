import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../domain/fault.ts";
import { sha256 } from "../util/sha256.ts";
import { writeOnce } from "../util/write-once.ts";

const CHARACTERS_MIN = 24;
const DISTINCT_MIN = 8;

/** SHA-256 of keys in the platform's public example configurations: everybody knows them. */
const PUBLISHED = new Set(
  [
    "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi",
    "QaHbTe77CtuXmsfyhR7+vRjI/+XbV1AaFy691iy+kGDv2Jvy0/eAh8Y1",
    "sk-9f73s3ljTXVcMT3Blb3ljTqtsGSKiGHXVcMT3BlbkFJLK7U",
  ].map(sha256),
);

/** Words that make a key guessable, however long it is. */
const OBVIOUS = /change[-_ ]?me|replace[-_ ]?me|password|your[-_ ]?(?:admin[-_ ]?)?key|example|12345678/i;

/** Throws `config_invalid` for a key that is short, published or guessable. The message never contains the key. */
export function checkAdminKey(text: string): void {
  const refuse = (reason: string) => {
    throw new Fault(
      "config_invalid",
      `The admin key ${reason}; accepted: ${CHARACTERS_MIN} or more random characters.`,
      {
        details: { field: "BERTH_ADMIN_KEY", accepted: `${CHARACTERS_MIN} or more random characters` },
      },
    );
  };
  if (text.length < CHARACTERS_MIN) refuse(`has ${text.length} characters`);
  if (PUBLISHED.has(sha256(text))) refuse("is a published default");
  if (!/^[\x21-\x7e]+$/.test(text)) refuse("contains white space or characters that a header cannot carry");
  if (OBVIOUS.test(text) || new Set(text).size < DISTINCT_MIN) refuse("is guessable");
}

export interface AdminKeyFile {
  readonly key: string;
  readonly path: string;
}

/**
 * The operator's key from the file in the data folder, which the first start creates. Only its owner can read the file,
 * and it is written once: of two processes that start together, both use the key of the faster one.
 */
export async function readOrMakeAdminKey(dataFolder: string): Promise<AdminKeyFile> {
  const path = join(dataFolder, "admin-key");
  const known = await readFile(path, "utf8").catch(() => undefined);
  const text = known ?? (await writeOnce(path, `berth_${randomBytes(32).toString("base64url")}\n`));
  return { key: text.trim(), path };
}
