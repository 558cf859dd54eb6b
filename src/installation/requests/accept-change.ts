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

/** As the Store accepts it; then everybody is told. */
export async function acceptChange(deps: AcceptChangeDeps, change: AcceptChange): Promise<Accepted> {
  const accepted = await deps.store.installations.acceptChange(change);
  // Before the task is run: a call that comes now must not reach what is being disabled.
  await announceChange(deps, accepted.installation);
  await enqueueTask(deps, accepted);
  return accepted;
}
