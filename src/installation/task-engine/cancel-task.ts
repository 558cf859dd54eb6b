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
 * Requests the end of a task. A notification makes the worker that runs it kill its build at once, not at its next poll;
 * where no worker has it, its job is enqueued and a worker undoes it. The task's `end` event follows once that is done.
 * Throws `task_not_found`, and `conflict` for a task that cannot be cancelled.
 */
export async function cancelTask(deps: CancelDeps, id: TaskId, by?: Actor): Promise<Task> {
  const task = await deps.store.tasks.cancel(id, by);
  await deps.queue.publish(cancelTopic(id), "cancel").catch(() => undefined);
  await enqueueTask(deps, { task });
  return task;
}
