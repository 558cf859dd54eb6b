import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";

export interface Migration {
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the text, hex, as the history stores it. */
  readonly checksum: string;
}

const FOLDER = new URL("../../../../prisma/migrations/", import.meta.url);

/** All migrations, oldest first. The first one creates the daemon's tables and nothing else. */
export async function readMigrations(): Promise<readonly [Migration, ...Migration[]]> {
  const files = (await readdir(FOLDER)).filter((file) => file.endsWith(".sql")).sort();
  const [first, ...rest] = await Promise.all(
    files.map(async (file) => {
      const sql = await readFile(new URL(file, FOLDER), "utf8");
      return {
        name: file.slice(0, -".sql".length),
        sql,
        checksum: createHash("sha256").update(sql).digest("hex"),
      };
    }),
  );
  if (first === undefined) throw new Error(`no migrations in ${FOLDER.pathname}`);
  return [first, ...rest];
}
