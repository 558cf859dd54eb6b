import { toFault } from "../../domain/fault.ts";
import type { Task } from "../../domain/task.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";

/** Enqueues an accepted task. Never throws: where the queue is away, the sweeper enqueues the task later. */
export async function enqueueTask(
  { queue, log }: { readonly queue: Queue; readonly log: Log },
  { task }: { readonly task: Task },
): Promise<void> {
  if (task.finishedAt !== undefined) return;
  try {
    await queue.enqueue("task.run", { taskId: task.id, attempt: task.attempt });
  } catch (error) {
    const { code } = toFault(error);
    log.warn(
      { op: "task.enqueue", ok: false, task_id: task.id, code },
      "the task is accepted but not enqueued; the sweeper will enqueue it",
    );
  }
}
