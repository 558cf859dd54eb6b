import { isTaskEnded } from "../../domain/task.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { PoolKeeper } from "../../runtime/runtimes.ts";
import type { TenantStorage } from "../../storage/tenant-storage.ts";
import type { Store } from "../../store/store.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";
import { waitsFor } from "../task-engine/task-waits.ts";
import type { StepContext } from "./install.ts";

export interface UninstallStepDeps {
  readonly store: Store;
  readonly keeper: PoolKeeper;
  readonly storage: Pick<TenantStorage, "removeOf">;
  readonly queue: Queue;
  readonly log: Log;
}

/**
 * Waits for the end of its other tasks, then removes the pool's containers where no other installation uses them, then
 * the rows. The image stays for the next install, and so does the plugin's storage unless `purge` was asked for.
 * Repeated, each part finds its work done.
 */
export async function runUninstall(
  deps: UninstallStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  const { store, keeper } = deps;
  const { task, journal } = context;
  await endOthers(deps, context);
  // Read again: the install that has just ended may have set its pool.
  const installation = (await store.installations.find(task.installationId)) ?? context.installation;
  await journal.flush();
  if (installation.poolKey !== undefined) await keeper.removeIfUnused(installation.poolKey, signal);
  if (task.input["purge"] === true) await deps.storage.removeOf(installation.tenantId, installation.pluginId);
  await store.installations.publishRemoved(task.id, task.attempt);
}

/** The request for the uninstall has cancelled them; one with tasks below it has to undo these first. */
async function endOthers(deps: UninstallStepDeps, { task }: StepContext): Promise<void> {
  const { tenantId, installationId } = task;
  const { items } = await deps.store.tasks.list({ tenantId, installationId }, { limit: 100 });
  const others = items.filter(({ id, state }) => id !== task.id && !isTaskEnded(state));
  if (others.length === 0) return;
  for (const other of others) await enqueueTask(deps, { task: other });
  throw waitsFor(others);
}
