/**
 * Removes a Tenant: its Installations one by one, each by a task of its own, then what is left of it on disk, then its
 * rows. A worker that takes over begins again, and finds what was done already gone.
 */
import { type Actor, BERTH_ITSELF } from "../../domain/audit.ts";
import { Fault, isFault } from "../../domain/fault.ts";
import type { TaskId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import type { TenantTask } from "../../domain/task.ts";
import type { Queue } from "../../queue/queue.ts";
import { removeOrphanLogs } from "../../runtime/logs/paths.ts";
import type { PoolKeeper } from "../../runtime/runtimes.ts";
import type { TenantStorage } from "../../storage/tenant-storage.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { acceptUninstall } from "../requests/accept-tasks.ts";
import type { TaskJournal } from "../task-engine/task-journal.ts";

export interface RemoveTenantDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly keeper: PoolKeeper;
  readonly storage: TenantStorage;
  readonly dataFolder: string;
  readonly clock: Clock;
  /** How often an uninstall that another worker has is looked at. */
  readonly pollMs: number;
  /** Runs a task to its end, unless another worker has it. */
  readonly runTask: (id: TaskId, signal: AbortSignal) => Promise<void>;
}

export interface RemoveTenantContext {
  readonly task: TenantTask;
  readonly journal: TaskJournal;
}

interface Uninstalling {
  readonly installation: Installation;
  /** Ids of those that were tried before: each is said once, however often it is tried. */
  readonly begun: Set<string>;
}

/** Uninstalls that run at once: each waits for its plugin to stop. */
const AT_ONCE = 4;

export async function runRemoveTenant(
  deps: RemoveTenantDeps,
  { task, journal }: RemoveTenantContext,
  signal: AbortSignal,
): Promise<void> {
  const { store, keeper, storage, dataFolder } = deps;
  const { tenantId } = task;
  const begun = new Set<string>();
  for (;;) {
    const { items } = await store.installations.list({ tenantId }, { limit: AT_ONCE });
    if (items.length === 0) break;
    await Promise.all(
      items.map((installation) => uninstall(deps, { task, journal, installation, begun }, signal)),
    );
  }
  for (const pool of await store.pools.list())
    if (pool.tenantId === tenantId) await keeper.removeIfUnused(pool.key, signal);
  await removeOrphanLogs({ dataFolder, store });
  signal.throwIfAborted();
  const { bytes } = await storage.remove(tenantId);
  if (bytes > 0) journal.progress(`removed ${bytes} bytes of plugin storage`);
  await journal.flush();
  await store.tenants.publishRemoved(task.id, task.attempt);
}

/**
 * It runs within this task's place among the worker's jobs: removals that fill all places, each waiting for an
 * uninstall that finds none, would wait for ever.
 */
async function uninstall(
  deps: RemoveTenantDeps,
  { task, journal, installation, begun }: RemoveTenantContext & Uninstalling,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const by: Actor = { ...BERTH_ITSELF, requestId: task.id };
  const accepted = await acceptUninstall(deps, installation.id, { by, force: true }).catch(gone);
  if (accepted === undefined) return;
  if (!begun.has(installation.id)) journal.progress(`uninstalling ${installation.identifier}`);
  begun.add(installation.id);
  await deps.runTask(accepted.task.id, signal);
  const after = await deps.store.tasks.find(accepted.task.id);
  if (after?.state === "failed") throw failed(installation, after.cause?.message);
  // another worker has it, or it waits for its next try
  if (after?.state !== "ready") await deps.clock.sleep(deps.pollMs, signal);
}

function gone(error: unknown): undefined {
  if (isFault(error, "installation_not_found")) return undefined;
  throw error;
}

function failed({ identifier, id }: Installation, why = "unknown"): Fault {
  return new Fault("conflict", `${identifier} could not be uninstalled: ${why} Ask again to go on.`, {
    details: { field: "installation", value: id },
  });
}
