/** What an operator backs a database up with. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { findBinaries } from "./postgres.ts";
import { createDatabase } from "./shared-postgres.ts";

const run = promisify(execFile);
const DUMP_BYTES_MAX = 64 * 1024 * 1024;

/** The dump of a database that is in use, restored as a new one on the same server; its URL. */
export async function copyDatabase(url: string, folder: string): Promise<string> {
  const bin = await findBinaries();
  const { stdout } = await run(join(bin, "pg_dump"), ["--no-owner", url], { maxBuffer: DUMP_BYTES_MAX });
  const file = join(folder, "berth.sql");
  await writeFile(file, stdout);
  const copy = await createDatabase({ isEmpty: true });
  await run(join(bin, "psql"), ["-q", "-v", "ON_ERROR_STOP=1", "-f", file, copy], {
    maxBuffer: DUMP_BYTES_MAX,
  });
  return copy;
}
