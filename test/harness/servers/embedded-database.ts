import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { PGlite } from "@electric-sql/pglite";
import { silentLog } from "../../../src/observe/log.ts";
import { openStore } from "../../../src/store/prisma/open.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../../..");

/**
 * Puts an embedded database into a data folder, as a first start makes it, yet without a name of its own: it is empty
 * where `isEmpty` says so, else it has Berth's tables. PGlite takes five seconds to make one, the tables take two and a
 * half, a copy half a one; the few tests that begin with no database at all do without this.
 */
export async function placeEmbeddedDatabase(
  dataFolder: string,
  { isEmpty = false }: { readonly isEmpty?: boolean } = {},
): Promise<void> {
  const made = isEmpty ? await emptyDatabase() : await migratedDatabase();
  await copy(made, join(dataFolder, FOLDER));
}

/** Node's own copying takes a second of CPU for these thousand files. */
async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await run("cp", ["--archive", from, to]);
}

const FOLDER = "pglite";

/** Made once per version of PGlite, whoever comes first. */
async function emptyDatabase(): Promise<string> {
  return await once(`pglite-${await version()}`, async (draft) => {
    const database = await PGlite.create(draft);
    await database.close();
  });
}

/** The same for each state of the migrations. */
async function migratedDatabase(): Promise<string> {
  const empty = await emptyDatabase();
  return await once(`pglite-${await version()}-${await migrations()}`, async (draft) => {
    const dataFolder = `${draft}.data`;
    await copy(empty, join(dataFolder, FOLDER));
    const opening = { databaseUrl: undefined, dataFolder, log: silentLog, poolMax: 1 };
    await (await openStore({ ...opening, statementTimeoutMs: 60_000 }))[Symbol.asyncDispose]();
    const database = await PGlite.create(join(dataFolder, FOLDER));
    await database.exec("DELETE FROM berth_meta");
    await database.close();
    await rename(join(dataFolder, FOLDER), draft);
    await rm(dataFolder, { recursive: true });
  });
}

async function once(name: string, make: (draft: string) => Promise<void>): Promise<string> {
  const folder = join(ROOT, ".cache", name);
  if (await isThere(folder)) return folder;
  const draft = `${folder}.${randomUUID()}`;
  await mkdir(join(ROOT, ".cache"), { recursive: true });
  await make(draft);
  try {
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true });
    if (!(await isThere(folder))) throw error;
  }
  return folder;
}

async function migrations(): Promise<string> {
  const folder = join(ROOT, "prisma/migrations");
  const hash = createHash("sha256");
  for (const name of (await readdir(folder)).toSorted())
    hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest("hex").slice(0, 12);
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
