import { findKnownImage } from "../images/ready-image.ts";
import { announceChange } from "../task-engine/announce-change.ts";
import type { StepContext } from "./install.ts";
import { replacePool } from "./replace-pool.ts";
import { type ChangeStepDeps, runUpgrade } from "./upgrade.ts";

/** Starts a new container; the old one ends with its last call. Ends `crash_loop`. */
export async function runRestart(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  const { task, installation } = context;
  const pool =
    installation.poolKey === undefined ? undefined : await deps.store.pools.find(installation.poolKey);
  const image = await findKnownImage(deps, pool?.imageKey, signal);
  if (pool === undefined || image === undefined) return await runUpgrade(deps, context, signal);
  await context.enter("starting");
  await replacePool(deps, context, { poolKey: pool.key }, signal);
  await deps.store.installations.publishReady(task.id, task.attempt);
  await announceChange(deps, installation);
}
