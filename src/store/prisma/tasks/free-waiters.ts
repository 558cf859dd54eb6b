import type { TaskState } from "../../../domain/task.ts";
import type { Tx } from "../client/database.ts";
import { Prisma } from "../generated/client.ts";

/**
 * Makes tasks claimable that wait for one whose end this transaction has just written: where it is not `ready`, or where
 * they wait for no other unfinished task.
 */
export async function freeWaiters(tx: Tx, id: string, state: TaskState): Promise<void> {
  await tx.taskWait.deleteMany({ where: { taskId: id } });
  const waiters = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM berth_tasks WHERE id IN (SELECT task_id FROM berth_task_waits WHERE waits_for = ${id}::uuid)
    ORDER BY id FOR UPDATE`;
  if (waiters.length === 0) return;
  await tx.$executeRaw`
    UPDATE berth_tasks AS waiter SET claimable_at = clock_timestamp()
    WHERE waiter.id IN (${Prisma.join(waiters.map((waiter) => Prisma.sql`${waiter.id}::uuid`))})
      AND waiter.finished_at IS NULL AND waiter.holder IS NULL
      AND (${state} <> 'ready' OR NOT EXISTS (
        SELECT 1 FROM berth_task_waits w JOIN berth_tasks other ON other.id = w.waits_for
        WHERE w.task_id = waiter.id AND other.finished_at IS NULL))`;
}
