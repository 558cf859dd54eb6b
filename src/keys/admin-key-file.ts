import { randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
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
  try {
    await using file = await open(path, "wx", 0o600);
    const key = `berth_${randomBytes(32).toString("base64url")}`;
    await file.writeFile(`${key}\n`);
    await file.sync();
    return { key, path };
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    return { key: (await readFile(path, "utf8")).trim(), path };
  }
}
