import { randomBytes, randomUUID } from "node:crypto";
import { link, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

export interface AdminKeyFile {
  readonly key: string;
  readonly path: string;
}

/**
 * The operator's key as it stands in the data folder, made at the first start. The file is readable by its owner
 * alone and is written once: two starters agree on the key of the faster one.
 */
export async function readOrMakeAdminKey(dataFolder: string): Promise<AdminKeyFile> {
  const path = join(dataFolder, "admin-key");
  const known = await readFile(path, "utf8").catch(() => undefined);
  if (known !== undefined) return { key: known.trim(), path };
  // Whole before it has its name: who comes second reads a key, never the beginning of one.
  const draft = `${path}.${randomUUID()}`;
  try {
    await using file = await open(draft, "wx", 0o600);
    await file.writeFile(`berth_${randomBytes(32).toString("base64url")}\n`);
    await file.sync();
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  return { key: (await readFile(path, "utf8")).trim(), path };
}
