/**
 * Removes a tenant: its installations, each by a task of its own, then its data on disk, then its rows. A worker that
 * takes over starts again and finds the finished parts gone.
 */
import { type Actor, BERTH_ITSELF } from "../../domain/audit.ts";
import { Fault, isFault } from "../../domain/fault.ts";
import type { Installation } from "../../domain/installation.ts";
import type { TenantTask } from "../../domain/task.ts";
import type { Queue } from "../../queue/queue.ts";
import { removeOrphanLogs } from "../../runtime/logs/paths.ts";
import type { PoolKeeper } from "../../runtime/runtimes.ts";
import type { TenantStorage } from "../../storage/tenant-storage.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { acceptUninstall } from "../requests/accept-tasks.ts";
import type { TaskContext } from "../task-engine/steps.ts";

export interface RemoveTenantDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly keeper: PoolKeeper;
  readonly storage: TenantStorage;
  readonly dataFolder: string;
  readonly clock: Clock;
  /** How often an uninstall that another worker runs is checked. */
  readonly pollMs: number;
}

type RemoveTenantContext = TaskContext<TenantTask>;

interface Uninstalling {
  readonly installation: Installation;
  /** Ids that the task's log already names: each is named once, however often it is tried. */
  readonly begun: Set<string>;
}

/** Uninstalls that run at the same time: each waits for its plugin to stop. */
const AT_ONCE = 4;

export async function runRemoveTenant(
  deps: RemoveTenantDeps,
  context: RemoveTenantContext,
  signal: AbortSignal,
): Promise<void> {
  const { store, keeper, storage, dataFolder } = deps;
  const { task, journal } = context;
  const { tenantId } = task;
  const begun = new Set<string>();
  for (;;) {
    const { items } = await store.installations.list({ tenantId }, { limit: AT_ONCE });
    if (items.length === 0) break;
    await Promise.all(
      items.map((installation) => uninstall(deps, { ...context, installation, begun }, signal)),
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
 * Runs within this task's job: removals that occupy all jobs of the worker, each waiting for an uninstall that needs
 * one, would wait forever.
 */
async function uninstall(
  deps: RemoveTenantDeps,
  { task, journal, runTask, installation, begun }: RemoveTenantContext & Uninstalling,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const by: Actor = { ...BERTH_ITSELF, requestId: task.id };
  const accepted = await acceptUninstall(deps, installation.id, { by, force: true }).catch(unlessGone);
  if (accepted === undefined) return;
  if (!begun.has(installation.id)) journal.progress(`uninstalling ${installation.identifier}`);
  begun.add(installation.id);
  await runTask(accepted.task.id, signal);
  const after = await deps.store.tasks.find(accepted.task.id);
  if (after?.state === "failed") throw failed(installation, after.cause?.message);
  // Another worker runs it, or it waits for its next try.
  if (after?.state !== "ready") await deps.clock.sleep(deps.pollMs, signal);
}

function unlessGone(error: unknown): undefined {
  if (isFault(error, "installation_not_found")) return undefined;
  throw error;
}

function failed({ identifier, id }: Installation, why = "unknown"): Fault {
  return new Fault(
    "conflict",
    `${identifier} could not be uninstalled: ${why} Repeat the request to continue.`,
    {
      details: { field: "installation", value: id },
    },
  );
}
