import type { RuntimeDisk, TaskDisk, TaskLogUse } from "../../contracts/disk.ts";
import type { Database } from "../client/database.ts";
import { Prisma } from "../generated/client.ts";

/**
 * Whether the task `t` has ended and nothing needs it any more: it is not the latest task of an installation (a repeated
 * request answers with that), not a tenant's removal, and has no unfinished parent or child.
 */
const UNNEEDED = Prisma.sql`(
  t.finished_at IS NOT NULL
  AND NOT EXISTS (
    SELECT 1 FROM berth_installations n WHERE n.id = t.installation_id AND NOT EXISTS (
      SELECT 1 FROM berth_tasks later WHERE later.installation_id = n.id
        AND (later.created_at, later.id) > (t.created_at, t.id)))
  AND NOT EXISTS (SELECT 1 FROM berth_tenants r WHERE r.removing_task_id = t.id)
  AND NOT EXISTS (SELECT 1 FROM berth_tasks f WHERE f.finished_at IS NULL
    AND (f.id = t.parent_id OR f.parent_id = t.id))
)`;

export function createTaskDisk(db: Database): TaskDisk {
  return {
    isUnfinished: (taskId) =>
      db.run(async (prisma) => {
        const found = await prisma.$queryRaw<unknown[]>`
          SELECT 1 AS one FROM berth_tasks t WHERE t.id::text = ${taskId} AND t.finished_at IS NULL`;
        return found.length > 0;
      }),
    list: (days) =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<
          (Omit<TaskLogUse, "bytes" | "logBytes"> & { bytes: bigint; logBytes: bigint })[]
        >`
          SELECT t.id AS "taskId", t.kind, t.identifier, t.finished_at AS "finishedAt",
            coalesce(e.bytes, 0) AS bytes, coalesce(e.log_bytes, 0) AS "logBytes",
            ${days}::float8 > 0 AND t.finished_at < clock_timestamp() - ${days}::float8 * interval '1 day' AND ${UNNEEDED} AS "isOld"
          FROM berth_tasks t LEFT JOIN (
            SELECT task_id, sum(pg_column_size(data)) AS bytes,
              sum(pg_column_size(data)) FILTER (WHERE data ->> 'type' = 'log') AS log_bytes
            FROM berth_task_events GROUP BY task_id
          ) e ON e.task_id = t.id
          ORDER BY t.finished_at NULLS LAST, t.id`;
        return rows.map((row) => ({
          ...row,
          identifier: row.identifier ?? undefined,
          finishedAt: row.finishedAt ?? undefined,
          isOld: row.isOld ?? false,
          bytes: Number(row.bytes),
          logBytes: Number(row.logBytes),
        }));
      }),
    takeLog: (taskId) =>
      db.run(async (prisma) => {
        const removed = await prisma.$executeRaw`
          DELETE FROM berth_task_events WHERE task_id = ${taskId}::uuid AND data ->> 'type' = 'log'
            AND EXISTS (SELECT 1 FROM berth_tasks t WHERE t.id = ${taskId}::uuid AND t.finished_at IS NOT NULL)`;
        return removed > 0;
      }),
    take: (taskId) =>
      db.transaction(async (tx) => {
        const removed = await tx.$executeRaw`
          DELETE FROM berth_tasks t WHERE t.id = ${taskId}::uuid AND ${UNNEEDED}`;
        if (removed > 0) await tx.taskEvent.deleteMany({ where: { taskId } });
        return removed > 0;
      }),
  };
}

export function createRuntimeDisk(db: Database): RuntimeDisk {
  return {
    listOfGonePools: (olderThanMs) =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<{ poolKey: string; rows: bigint }[]>`
          SELECT r.pool_key AS "poolKey", count(*) AS rows FROM berth_runtimes r
          WHERE NOT EXISTS (SELECT 1 FROM berth_pools p WHERE p.key = r.pool_key)
          GROUP BY r.pool_key
          HAVING bool_and(r.state = 'ended')
            AND max(r.ended_at) < clock_timestamp() - ${olderThanMs} * interval '1 millisecond'
          ORDER BY r.pool_key`;
        return rows.map(({ poolKey, rows: count }) => ({ poolKey, rows: Number(count) }));
      }),
    takeOfGonePool: (poolKey) =>
      db.run(async (prisma) => {
        const removed = await prisma.$executeRaw`
          DELETE FROM berth_runtimes r WHERE r.pool_key = ${poolKey} AND r.state = 'ended'
            AND NOT EXISTS (SELECT 1 FROM berth_pools p WHERE p.key = ${poolKey})`;
        return removed > 0;
      }),
  };
}
