import type { ProcessRecord, ProcessRows } from "../../contracts/processes.ts";
import type { Database } from "../client/database.ts";
import { writtenAhead } from "../client/lease-expiry.ts";

/** How long the row of a dead process is kept, to investigate its end. */
const KEPT_HOURS = 24;

export function createProcessRows(db: Database): ProcessRows {
  return {
    announce: ({ id, role, host, pid }, aliveMs) =>
      db.run(async (prisma) => {
        // After the clock was set back a living process announces itself again; a dead one must not count for an hour.
        await prisma.$executeRaw`
          WITH gone AS (
            DELETE FROM berth_processes WHERE id <> ${id} AND (
              expires_at < clock_timestamp() - ${KEPT_HOURS} * interval '1 hour' OR ${writtenAhead("expires_at", aliveMs)}))
          INSERT INTO berth_processes (id, role, host, pid, expires_at)
          VALUES (${id}, ${role}, ${host}, ${pid}, clock_timestamp() + ${aliveMs} * interval '1 millisecond')
          ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`;
      }),
    listLive: db.watch.remember("processes", () =>
      db.run(
        (prisma) => prisma.$queryRaw<ProcessRecord[]>`
          SELECT id, role, host, pid, started_at AS "startedAt" FROM berth_processes
          WHERE expires_at > clock_timestamp() ORDER BY started_at, id`,
      ),
    ),
    leave: (id) =>
      db.run(async (prisma) => {
        await prisma.process.deleteMany({ where: { id } });
      }),
  };
}
