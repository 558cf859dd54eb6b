import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Accepted } from "../../store/contracts/answers.ts";
import type { AcceptChange } from "../../store/contracts/installations.ts";
import type { Store } from "../../store/store.ts";
import { announceChange } from "../task-engine/announce-change.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";

export interface AcceptChangeDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
}

/** Accepts a change as the Store does, announces it to all processes and enqueues its task. Throws what the Store throws. */
export async function acceptChange(deps: AcceptChangeDeps, change: AcceptChange): Promise<Accepted> {
  const accepted = await deps.store.installations.acceptChange(change);
  // Before the task runs: a call that comes now must not reach a plugin that is being disabled.
  await announceChange(deps, accepted.installation);
  await enqueueTask(deps, accepted);
  return accepted;
}
