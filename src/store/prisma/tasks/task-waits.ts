/**
 * Tasks that wait for tasks. A waiter releases its lease, so that it occupies no worker; the end of a task that it waits for
 * makes it claimable in the same transaction. Rows are locked in one order: the tasks that are waited for, then the waiter.
 */
import type { Actor } from "../../../domain/audit.ts";
import { Fault } from "../../../domain/fault.ts";
import { TaskId } from "../../../domain/ids.ts";
import type { Task, TaskKind } from "../../../domain/task.ts";
import type { TaskRows } from "../../contracts/tasks.ts";
import type { Database, Tx } from "../client/database.ts";
import { writeCause } from "../client/storable-cause.ts";
import { Prisma } from "../generated/client.ts";
import { holdKey, writeEvent } from "../tenants/audit.ts";
import { toEnding, toTask } from "./task-row.ts";
import { holdTask, noteEnding } from "./task-writes.ts";

export function createTaskWaits(db: Database): Pick<TaskRows, "wait" | "waiters" | "setEnding" | "cancel"> {
  return {
    wait: (id, attempt, { on, delayMs, isEnding }) =>
      db.transaction(async (tx) => {
        // A task that ends meanwhile waits for this transaction, and then sees the waiter.
        const unfinished = on.length === 0 ? [] : await holdUnfinished(tx, on);
        const task = await holdTask(tx, { id, attempt });
        await tx.taskWait.deleteMany({ where: { taskId: id } });
        const isAsked = task.ending !== null && !isEnding;
        const waits = !isAsked && unfinished.length > 0 && unfinished.length === new Set(on).size;
        if (waits)
          await tx.taskWait.createMany({ data: unfinished.map((waitsFor) => ({ taskId: id, waitsFor })) });
        await tx.$executeRaw`
          UPDATE berth_tasks SET holder = NULL, lease_expires_at = NULL,
            claimable_at = clock_timestamp() + ${waits ? delayMs : 0} * interval '1 millisecond'
          WHERE id = ${id}::uuid`;
        return waits;
      }),
    waiters: (id) =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<{ id: string; attempt: number }[]>`
          SELECT t.id, t.attempt FROM berth_task_waits w JOIN berth_tasks t ON t.id = w.task_id
          WHERE w.waits_for = ${id}::uuid AND t.finished_at IS NULL AND t.holder IS NULL
            AND t.claimable_at <= clock_timestamp()`;
        return rows.map(({ id: waiter, attempt }) => ({ id: TaskId.parse(waiter), attempt }));
      }),
    setEnding: (id, attempt, { state, cause: why }) =>
      writeCause(why, (cause) =>
        db.transaction(async (tx) => {
          const task = await holdTask(tx, { id, attempt });
          await noteEnding(tx, id, { state, cause });
          return toEnding(task.ending) ?? { state, cause };
        }),
      ),
    cancel: (id, by) => db.transaction((tx) => cancel(tx, id, by)),
  };
}

async function cancel(tx: Tx, id: TaskId, by: Actor | undefined): Promise<Task> {
  await holdKey(tx, by);
  await tx.$queryRaw`SELECT id FROM berth_tasks WHERE id = ${id}::uuid FOR UPDATE`;
  const row = await tx.task.findUnique({ where: { id } });
  if (row === null) throw new Fault("task_not_found", `There is no task ${id}.`);
  const task = toTask(row);
  const isUnfinished = task.finishedAt === undefined;
  if (task.state === "cancelled" || (isUnfinished && task.ending !== undefined)) return task;
  if (!isUnfinished || REMOVALS.includes(task.kind)) throw notCancelled(task);
  await noteEnding(tx, id, { state: "cancelled", cause: CANCELLED });
  await writeEvent(tx, {
    kind: "task.cancel",
    by,
    tenantId: task.tenantId,
    subject: task.identifier ?? task.kind,
    result: "accepted",
    ...(task.installationId === undefined ? {} : { installationId: task.installationId }),
    taskId: id,
  });
  return toTask(await tx.task.findUniqueOrThrow({ where: { id } }));
}

/** Removals cannot be cancelled: what they have removed does not come back. */
const REMOVALS: readonly TaskKind[] = ["uninstall", "remove_tenant"];
const CANCELLED = { code: "cancelled", message: "The task was cancelled." } as const;

function notCancelled({ kind, state, finishedAt }: Task): Fault {
  const why =
    finishedAt === undefined
      ? `A task of the kind ${kind} cannot be cancelled`
      : `The task has already ended: it is ${state}`;
  return new Fault("conflict", `${why}.`, {
    details: { kind, state, accepted: "an unfinished task that removes nothing" },
  });
}

async function holdUnfinished(tx: Tx, ids: readonly TaskId[]): Promise<readonly string[]> {
  const rows = await tx.$queryRaw<{ id: string; finished: boolean }[]>`
    SELECT id, finished_at IS NOT NULL AS finished FROM berth_tasks
    WHERE id IN (${Prisma.join(ids.map((id) => Prisma.sql`${id}::uuid`))}) ORDER BY id FOR SHARE`;
  return rows.filter(({ finished }) => !finished).map(({ id }) => id);
}
