import { isFault } from "../../domain/fault.ts";
import type { Installation } from "../../domain/installation.ts";
import type { Limits } from "../../domain/limits.ts";
import type { InstallationTask } from "../../domain/task.ts";
import type { PoolKeeper } from "../../runtime/runtimes.ts";
import type { Store } from "../../store/store.ts";
import type { PackageImage } from "../images/build-image.ts";
import type { TaskJournal } from "../task-engine/task-journal.ts";
import { type IsolationSettings, poolKey, poolShape } from "./pool-shape.ts";

export interface StartPoolDeps {
  readonly store: Store;
  readonly keeper: PoolKeeper;
  readonly isolation: IsolationSettings;
  /** Limits of pools that tenants share. */
  readonly sharedLimits: Limits;
}

export interface PoolContext {
  readonly task: Pick<InstallationTask, "kind">;
  readonly installation: Installation;
  readonly journal: Pick<TaskJournal, "log">;
}

export interface PoolWanted {
  readonly image: Pick<PackageImage, "imageKey" | "imageRef">;
  readonly entrypoint: string;
  readonly warnings: readonly string[];
}

/**
 * Creates the pool and resolves with its key once it has passed its start probe; the pool of a disabled installation is
 * not started. The old pool serves meanwhile: only the end of the task moves the installation to the new one.
 */
export async function startPool(
  deps: StartPoolDeps,
  { task, installation, journal }: PoolContext,
  { image, entrypoint, warnings }: PoolWanted,
  signal: AbortSignal,
): Promise<string> {
  const { store } = deps;
  const shape = poolShape(installation, deps.isolation, deps.sharedLimits);
  const key = poolKey(image.imageKey, shape.tenantId);
  // Before the pool exists: whoever removes unused pools then sees that this one is used.
  if (task.kind === "install") await store.installations.setPool(installation.id, key, warnings);
  else if (key !== installation.poolKey) await store.installations.setNextPool(installation.id, key);
  const isEnabled = installation.desired === "enabled";
  await store.pools.ensure({
    key,
    ...shape,
    pluginId: installation.pluginId,
    identifier: installation.identifier,
    imageKey: image.imageKey,
    imageRef: image.imageRef,
    runner: { entrypoint },
    wanted: isEnabled || (await store.pools.find(key))?.wanted === true,
  });
  if (!isEnabled) return key;
  try {
    await deps.keeper.ensureReady(key, { onLog: (text) => journal.log(text) }, signal);
  } catch (error) {
    // The plugin's last output belongs to the task's log, like that of the build.
    for (const line of lastOutput(error)) journal.log(line);
    // A worker that stops, or has lost its lease, leaves the pool to the one that takes over.
    if (!signal.aborted) await setUnwanted(deps, key);
    throw error;
  }
  return key;
}

export function lastOutput(error: unknown): readonly string[] {
  const lines = isFault(error) ? error.details["logs"] : undefined;
  return Array.isArray(lines) ? lines.map(String) : [];
}

/** Keeps supervision from starting a pool again whose first start failed, unless a ready or crashing installation uses it. */
async function setUnwanted({ store }: StartPoolDeps, key: string): Promise<void> {
  const { items } = await store.installations.list({ poolKey: key }, { limit: 100 });
  if (items.some(({ state }) => state === "ready" || state === "crash_loop")) return;
  await store.pools.setWanted(key, false);
}
