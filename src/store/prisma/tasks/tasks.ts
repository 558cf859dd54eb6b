import { TaskId } from "../../../domain/ids.ts";
import type { ClaimableTask, TaskRows } from "../../contracts/tasks.ts";
import { type Database, jsonText } from "../client/database.ts";
import { leaseOver } from "../client/lease-expiry.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import { bareEvent, writeCause, writeOrBare } from "../client/storable-cause.ts";
import { Prisma } from "../generated/client.ts";
import { acceptTask } from "./accept-task.ts";
import { toTask, toTaskEvent } from "./task-row.ts";
import { createTaskWaits } from "./task-waits.ts";
import { endTask, holdTask, leaseLost, writeEvents } from "./task-writes.ts";

export function createTaskRows(db: Database): TaskRows {
  return {
    ...createReads(db),
    ...createLeases(db),
    ...createWrites(db),
    ...createTaskWaits(db),
    accept: (request) => db.transaction((tx) => acceptTask(tx, request)),
  };
}

/** A task that nobody holds, or whose holder has died. */
export const CLAIMABLE = Prisma.sql`finished_at IS NULL AND claimable_at <= clock_timestamp()
  AND (holder IS NULL OR ${leaseOver("lease_expires_at")})`;

function createReads(
  db: Database,
): Pick<TaskRows, "find" | "children" | "latestOf" | "list" | "events" | "listClaimable"> {
  return {
    find: (id) =>
      db.run(async (prisma) => {
        const row = await prisma.task.findUnique({ where: { id } });
        return row === null ? undefined : toTask(row);
      }),
    children: (parentId) =>
      db.run(async (prisma) => {
        const orderBy: Prisma.TaskOrderByWithRelationInput[] = [{ createdAt: "asc" }, { id: "asc" }];
        return (await prisma.task.findMany({ where: { parentId }, orderBy })).map(toTask);
      }),
    latestOf: (installationId) =>
      db.run(async (prisma) => {
        const orderBy: Prisma.TaskOrderByWithRelationInput[] = [{ createdAt: "desc" }, { id: "desc" }];
        const row = await prisma.task.findFirst({ where: { installationId }, orderBy });
        return row === null ? undefined : toTask(row);
      }),
    list: ({ tenantId, installationId }, page) =>
      db.run(async (prisma) => {
        const one =
          installationId === undefined
            ? Prisma.empty
            : Prisma.sql`AND installation_id = ${installationId}::uuid`;
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT id, ${PLACE_AT} FROM berth_tasks
          WHERE tenant_id = ${tenantId}::uuid ${one} ${pageSql(page, Prisma.sql`id`, Prisma.sql`uuid`)}`;
        const rows = await prisma.task.findMany({ where: { id: { in: placed.map(({ id }) => id) } } });
        return toPage(placed, page, new Map(rows.map((row) => [row.id, row])), toTask);
      }),
    events: (id, afterSeq) =>
      db.run(async (prisma) =>
        (
          await prisma.taskEvent.findMany({
            where: { taskId: id, seq: { gt: afterSeq } },
            orderBy: { seq: "asc" },
          })
        ).map(toTaskEvent),
      ),
    listClaimable: async (limit) => {
      if (!(await db.watch.hasWork("tasks"))) return [];
      return await db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<ClaimableTask[]>`
          SELECT id, kind, attempt, (extract(epoch FROM
            clock_timestamp() - greatest(claimable_at, lease_expires_at)) * 1000)::float8 AS "waitedMs"
          FROM berth_tasks WHERE ${CLAIMABLE}
          ORDER BY claimable_at LIMIT ${limit}`;
        return rows.map((row) => ({ ...row, id: TaskId.parse(row.id) }));
      });
    },
  };
}

function createLeases(db: Database): Pick<TaskRows, "claim" | "renew" | "release"> {
  return {
    claim: (id, holder, leaseMs) =>
      db.run(async (prisma) => {
        const claimed = await prisma.$queryRaw<{ attempt: number }[]>`
          UPDATE berth_tasks SET holder = ${holder}, attempt = attempt + 1, updated_at = clock_timestamp(),
            lease_expires_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
          WHERE id = ${id}::uuid AND finished_at IS NULL AND claimable_at <= clock_timestamp()
            AND (holder IS NULL OR ${leaseOver("lease_expires_at", leaseMs)})
          RETURNING attempt`;
        const attempt = claimed[0]?.attempt;
        if (attempt === undefined) return undefined;
        const row = await prisma.task.findUnique({ where: { id } });
        // While this process stood still another one may have taken the task: then it is not ours.
        return row === null || row.attempt !== attempt ? undefined : toTask(row);
      }),
    renew: (id, attempt, leaseMs) =>
      db.run(async (prisma) => {
        const renewed = await prisma.$executeRaw`
          UPDATE berth_tasks SET lease_expires_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
          WHERE id = ${id}::uuid AND attempt = ${attempt} AND holder IS NOT NULL AND finished_at IS NULL`;
        if (renewed === 0) throw leaseLost(id);
      }),
    release: (id, attempt, delayMs) =>
      db.run(async (prisma) => {
        const released = await prisma.$executeRaw`
          UPDATE berth_tasks SET holder = NULL, lease_expires_at = NULL, updated_at = clock_timestamp(),
            claimable_at = clock_timestamp() + ${delayMs} * interval '1 millisecond'
          WHERE id = ${id}::uuid AND attempt = ${attempt} AND holder IS NOT NULL AND finished_at IS NULL`;
        if (released === 0) throw leaseLost(id);
      }),
  };
}

function createWrites(
  db: Database,
): Pick<TaskRows, "setStep" | "append" | "finish" | "finishReady" | "setIdentifier"> {
  return {
    setStep: (id, attempt, step) =>
      db.transaction(async (tx) => {
        await holdTask(tx, { id, attempt });
        await tx.task.update({ where: { id }, data: { state: step } });
        await writeEvents(tx, id, [{ type: "step", step }]);
      }),
    append: (id, attempt, events) =>
      writeOrBare(
        events,
        (all) => all.map(bareEvent),
        (kept) =>
          db.transaction(async (tx) => {
            await holdTask(tx, { id, attempt });
            await writeEvents(tx, id, kept);
          }),
      ),
    finishReady: (id, attempt) =>
      db.transaction(async (tx) => {
        await holdTask(tx, { id, attempt });
        await endTask(tx, id, { type: "end", state: "ready" });
      }),
    setIdentifier: (id, attempt, identifier) =>
      db.transaction(async (tx) => {
        await holdTask(tx, { id, attempt });
        await tx.task.update({ where: { id }, data: { identifier } });
      }),
    finish: (id, attempt, { state, cause: why, markInstallation }) =>
      writeCause(why, (cause) =>
        db.transaction(async (tx) => {
          const task = await holdTask(tx, { id, attempt });
          await endTask(tx, id, { type: "end", state, cause });
          if (markInstallation)
            await tx.$executeRaw`
              UPDATE berth_installations SET state = 'failed', cause = ${jsonText(cause)}::jsonb,
                updated_at = clock_timestamp()
              WHERE id = ${task.installationId}::uuid`;
        }),
      ),
  };
}
