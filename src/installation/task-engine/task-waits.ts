/**
 * How a task waits for others without occupying a worker: its steps throw `waitsFor`, the runner releases the lease, and
 * the end of the other tasks makes it claimable again. Its idempotent steps then run again from the first.
 */
import { Fault, toFault } from "../../domain/fault.ts";
import type { TaskId } from "../../domain/ids.ts";
import type { Task } from "../../domain/task.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";

export class WaitsFor extends Fault {
  readonly tasks: readonly TaskId[];

  constructor(tasks: readonly TaskId[]) {
    super("task_waits", "The task waits for other tasks.");
    this.tasks = tasks;
  }
}

/** Thrown by a task's steps. Name unfinished tasks only: with one that has ended, the steps run again at once. */
export function waitsFor(tasks: readonly Pick<Task, "id">[]): WaitsFor {
  return new WaitsFor(tasks.map(({ id }) => id));
}

interface WakeDeps {
  readonly store: Pick<Store, "tasks">;
  readonly queue: Queue;
  readonly log: Log;
}

interface LeaseRelease {
  readonly task: Task;
  readonly waits: WaitsFor;
  /** The task is ending already: a request to cancel it does not end the wait. */
  readonly isEnding: boolean;
  readonly checkMs: number;
}

/**
 * Releases the waiting task's lease. It runs again after `checkMs` in any case: a worker of an earlier release ends tasks
 * without notifying those that wait.
 */
export async function releaseLease(
  deps: WakeDeps,
  { task, waits, isEnding, checkMs }: LeaseRelease,
): Promise<void> {
  const how = { on: waits.tasks, delayMs: checkMs, isEnding };
  if (!(await deps.store.tasks.wait(task.id, task.attempt, how))) await enqueue(deps, task);
}

/** Enqueues the tasks that waited for this one, which has ended. Best effort: the sweeper finds them too. Never throws. */
export async function wakeWaiters(deps: WakeDeps, id: TaskId): Promise<void> {
  const waiters = await deps.store.tasks.waiters(id).catch(() => []);
  for (const waiter of waiters) await enqueue(deps, waiter);
}

async function enqueue(
  { queue, log }: WakeDeps,
  { id, attempt }: Pick<Task, "id" | "attempt">,
): Promise<void> {
  await queue.enqueue("task.run", { taskId: id, attempt }).catch((error: unknown) => {
    log.warn({ op: "task.enqueue", ok: false, task_id: id, code: toFault(error).code });
  });
}
