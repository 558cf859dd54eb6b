import type { InstallationId } from "../../domain/ids.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Accepted } from "../../store/contracts/answers.ts";
import type { AcceptChange, UninstallRequest } from "../../store/contracts/installations.ts";
import type { Store } from "../../store/store.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";
import { announceChange, installationTopic } from "../task-engine/topics.ts";

/**
 * Accepts an uninstall: marks the installation and writes the task; the caller enqueues it. A notification makes a
 * running install kill its build at once, not at its next poll. Throws `installation_not_found`, `dependency_in_use`.
 */
export async function acceptUninstall(
  { store, queue }: { store: Store; queue: Queue },
  id: InstallationId,
  request: UninstallRequest = {},
): Promise<Accepted> {
  const accepted = await store.installations.acceptUninstall(id, request);
  await queue.publish(installationTopic(id), "removed").catch(() => undefined);
  return accepted;
}

export interface AcceptChangeDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
}

/** Accepts a change as the store does, announces it to all processes and enqueues its task. Throws what the store throws. */
export async function acceptChange(deps: AcceptChangeDeps, change: AcceptChange): Promise<Accepted> {
  const accepted = await deps.store.installations.acceptChange(change);
  // Before the task runs: a call that comes now must not reach a plugin that is being disabled.
  await announceChange(deps, accepted.installation);
  await enqueueTask(deps, accepted);
  return accepted;
}
