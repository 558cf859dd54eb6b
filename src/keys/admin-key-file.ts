import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeOnce } from "../util/write-once.ts";

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
