import { grantWanted } from "../../domain/limits.ts";
import { asRolling, changesContainers, planLimits } from "../../domain/limits-applied.ts";
import { containersOf, mergeLimits, readPatch } from "../requests/limits-patch.ts";
import { announceChange } from "../task-engine/topics.ts";
import { type ChangeStepDeps, runUpgrade } from "./changes.ts";
import type { StepContext } from "./install.ts";
import { replacePool } from "./replace-pool.ts";

/**
 * Applies new limits to the running containers, or replaces these by new ones; limits on calls are enforced by Berth
 * itself and need neither. Where the plugin does not start under the new limits, it serves on under the old ones. A
 * failed install is run again under the new limits.
 */
export async function runLimits(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  const { task, installation, enter } = context;
  const limitsWanted = mergeLimits(installation.limitsWanted, readPatch(task.input["limits"]));
  const change = { limitsWanted };
  if (installation.state === "failed") {
    const changed = { ...installation, limitsWanted };
    return await runUpgrade(deps, { ...context, installation: changed, change }, signal);
  }
  await enter("starting");
  const { limits, notes } = grantWanted(installation.limitsAsked, limitsWanted, deps.limits);
  for (const note of notes) context.journal.warning(note);
  const pool =
    installation.poolKey === undefined ? undefined : await deps.store.pools.find(installation.poolKey);
  const containers = containersOf(installation, pool);
  const plan = planLimits(installation.limitsGranted, limits, containers);
  // In a shared pool only the limits on calls belong to the installation.
  const isOwn = pool !== undefined && pool.tenantId !== undefined;
  let limitsApplied = plan;
  // A pool in a crash loop starts again under any new limits. A change that was cancelled late may have left the pool
  // with other limits than the installation shows.
  const isBehind =
    containers === "running" &&
    pool !== undefined &&
    changesContainers(planLimits(pool.limits, limits, containers));
  if (isOwn && (changesContainers(plan) || isBehind || installation.state === "crash_loop")) {
    const { replaced } = await replacePool(deps, context, { poolKey: pool.key, limits }, signal);
    if (replaced !== "none") limitsApplied = asRolling(plan);
  }
  await deps.store.installations.publishReady(task.id, task.attempt, {
    ...change,
    limitsGranted: limits,
    limitsApplied,
  });
  await announceChange(deps, installation);
}
