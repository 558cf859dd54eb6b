import type { ReadmeRows } from "../../contracts/readmes.ts";
import { type Database, uuid7 } from "../client/database.ts";

export function createReadmeRows(db: Database): ReadmeRows {
  return {
    find: (identifier) =>
      db.run(async (prisma) => {
        const rows = await prisma.pluginReadmeRecord.findMany({
          where: { pluginUniqueIdentifier: identifier },
          orderBy: { createdAt: "asc" },
        });
        return new Map(rows.map(({ language, content }) => [language, content]));
      }),
    put: (identifier, readmes) =>
      db.transaction(async (tx) => {
        // The table has no key over package and language: the lock on the package's row takes its place.
        const held = await tx.$queryRaw<unknown[]>`
          SELECT 1 AS one FROM berth_packages WHERE identifier = ${identifier} FOR UPDATE`;
        const known = await tx.pluginReadmeRecord.count({ where: { pluginUniqueIdentifier: identifier } });
        if (held.length === 0 || known > 0) return;
        const now = new Date();
        await tx.pluginReadmeRecord.createMany({
          data: [...readmes].map(([language, content]) => ({
            id: uuid7(),
            createdAt: now,
            updatedAt: now,
            pluginUniqueIdentifier: identifier,
            language,
            content,
          })),
        });
      }),
  };
}
