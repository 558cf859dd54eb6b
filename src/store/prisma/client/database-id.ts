import type { Database } from "./database.ts";

/**
 * Tells the databases of servers apart, also a copy from its original: the id that a server is given when it is made
 * (a physical copy keeps it), and the database's own number in it, which a dump does not hold. A server that hides its
 * id is told by the number alone.
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
