import type { Actor } from "../../domain/audit.ts";
import type { TaskId } from "../../domain/ids.ts";
import type { Task } from "../../domain/task.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";
import { enqueueTask } from "./enqueue-task.ts";
import { cancelTopic } from "./topics.ts";

export interface CancelDeps {
  readonly store: Pick<Store, "tasks">;
  readonly queue: Queue;
  readonly log: Log;
}

/**
 * Asks for a task's end. The worker that has it is told, so that its build is killed now and not at its next look at the
 * row; of one that nobody has, a worker is asked to undo it. The task's own `end` event says when that is done. Throws
 * `task_not_found`, and `conflict` for what cannot be cancelled.
 */
export async function cancelTask(deps: CancelDeps, id: TaskId, by?: Actor): Promise<Task> {
  const task = await deps.store.tasks.cancel(id, by);
  await deps.queue.publish(cancelTopic(id), "cancel").catch(() => undefined);
  await enqueueTask(deps, { task });
  return task;
}
