import type { InstallationId } from "../../domain/ids.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Accepted } from "../../store/contracts/answers.ts";
import type { AcceptChange, UninstallRequest } from "../../store/contracts/installations.ts";
import type { Store } from "../../store/store.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";
import { announceChange, installationTopic } from "../task-engine/topics.ts";

/**
 * Accepts an uninstall: marks the Installation and writes the task. An install of it that is still running is told,
 * so that its build is killed now and not at its next look at the row. Throws `installation_not_found`, `dependency_in_use`.
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

/** As the Store accepts it; then everybody is told. */
export async function acceptChange(deps: AcceptChangeDeps, change: AcceptChange): Promise<Accepted> {
  const accepted = await deps.store.installations.acceptChange(change);
  // Before the task is run: a call that comes now must not reach what is being disabled.
  await announceChange(deps, accepted.installation);
  await enqueueTask(deps, accepted);
  return accepted;
}
