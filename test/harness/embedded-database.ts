import { randomUUID } from "node:crypto";
import { cp, mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";

const ROOT = join(import.meta.dirname, "../..");

/**
 * Puts an empty embedded database into a data folder, as its first start would. PGlite takes five seconds to make one
 * and half a second to open a copy; the few tests that begin with no database at all do without this.
 */
export async function placeEmbeddedDatabase(dataFolder: string): Promise<void> {
  await cp(await template(), join(dataFolder, "pglite"), { recursive: true });
}

/** Made once per version of PGlite, whoever comes first. */
async function template(): Promise<string> {
  const folder = join(ROOT, ".cache", `pglite-${await version()}`);
  if (await isThere(folder)) return folder;
  const draft = `${folder}.${randomUUID()}`;
  await mkdir(join(ROOT, ".cache"), { recursive: true });
  const database = await PGlite.create(draft);
  await database.close();
  try {
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true });
    if (!(await isThere(folder))) throw error;
  }
  return folder;
}

async function version(): Promise<string> {
  const lock = JSON.parse(await readFile(join(ROOT, "package-lock.json"), "utf8"));
  return lock.packages["node_modules/@electric-sql/pglite"].version;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
