/**
 * Tasks that wait for tasks. A waiter gives its lease back, so that it takes no worker's place; the end of a task it
 * waits for frees it in the transaction of that end. Locks are taken in one order: what is waited for, then the waiter.
 */
import { TaskId } from "../../domain/ids.ts";
import type { TaskEnding } from "../../domain/task.ts";
import type { TaskRows } from "../store.ts";
import type { Database, Tx } from "./database.ts";
import { Prisma } from "./generated/client.ts";
import { toEnding } from "./rows.ts";
import { holdTask } from "./task-writes.ts";

export function createTaskWaits(db: Database): Pick<TaskRows, "wait" | "waiters" | "setEnding"> {
  return {
    wait: (id, attempt, on, delayMs) =>
      db.transaction(async (tx) => {
        // One that ends meanwhile waits for this transaction, and then sees the waiter.
        const unfinished = on.length === 0 ? [] : await holdUnfinished(tx, on);
        await holdTask(tx, { id, attempt });
        await tx.taskWait.deleteMany({ where: { taskId: id } });
        const waits = unfinished.length > 0 && unfinished.length === new Set(on).size;
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
    setEnding: (id, attempt, ending) =>
      db.transaction(async (tx) => {
        const task = await holdTask(tx, { id, attempt });
        return toEnding(task.ending) ?? (await writeEnding(tx, id, ending));
      }),
  };
}

export async function writeEnding(tx: Tx, id: string, ending: TaskEnding): Promise<TaskEnding> {
  await tx.$executeRaw`
    UPDATE berth_tasks SET ending = ${JSON.stringify(ending)}::jsonb WHERE id = ${id}::uuid`;
  return ending;
}

async function holdUnfinished(tx: Tx, ids: readonly TaskId[]): Promise<readonly string[]> {
  const rows = await tx.$queryRaw<{ id: string; finished: boolean }[]>`
    SELECT id, finished_at IS NOT NULL AS finished FROM berth_tasks
    WHERE id IN (${Prisma.join(ids.map((id) => Prisma.sql`${id}::uuid`))}) ORDER BY id FOR SHARE`;
  return rows.filter(({ finished }) => !finished).map(({ id }) => id);
}
