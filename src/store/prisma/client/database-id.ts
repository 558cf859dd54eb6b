import type { Database } from "./database.ts";

/**
 * An id that differs between databases, also between a copy and its original: the id that a server gets when it is
 * created (a physical copy keeps it), and the database's number in it, which a dump does not contain. Where a server hides
 * its id, only the number counts.
 */
export async function readDatabaseId(db: Database): Promise<string> {
  const [{ oid } = { oid: 0 }] = await db.run(
    (prisma) =>
      prisma.$queryRaw<{ oid: number }[]>`
        SELECT oid::int4 AS oid FROM pg_database WHERE datname = current_database()`,
  );
  const server = await db
    .run(
      (prisma) =>
        prisma.$queryRaw<{ id: string }[]>`
          SELECT system_identifier::text AS id FROM pg_control_system()`,
    )
    .catch(() => []);
  return `postgres:${server[0]?.id ?? "unknown"}/${oid}`;
}
