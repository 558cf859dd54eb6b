import type { ProcessRecord, ProcessRows } from "../../contracts/processes.ts";
import type { Database } from "../client/database.ts";
import { writtenAhead } from "../client/lease-expiry.ts";

/** How long the row of a dead process is kept, for whoever looks at what happened. */
const KEPT_HOURS = 24;

export function createProcessRows(db: Database): ProcessRows {
  return {
    announce: ({ id, role, host, pid }, aliveMs) =>
      db.run(async (prisma) => {
        await prisma.$executeRaw`
          INSERT INTO berth_processes (id, role, host, pid, expires_at)
          VALUES (${id}, ${role}, ${host}, ${pid}, clock_timestamp() + ${aliveMs} * interval '1 millisecond')
          ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`;
        // One that lives announces itself again after the clock was set back; one that died is not to count for an hour.
        await prisma.$executeRaw`
          DELETE FROM berth_processes WHERE expires_at < clock_timestamp() - ${KEPT_HOURS} * interval '1 hour'
            OR ${writtenAhead("expires_at", aliveMs)}`;
      }),
    listLive: () =>
      db.run(
        (prisma) => prisma.$queryRaw<ProcessRecord[]>`
          SELECT id, role, host, pid, started_at AS "startedAt" FROM berth_processes
          WHERE expires_at > clock_timestamp() ORDER BY started_at, id`,
      ),
    leave: (id) =>
      db.run(async (prisma) => {
        await prisma.process.deleteMany({ where: { id } });
      }),
  };
}
