import { grantWanted } from "../../domain/limits.ts";
import { asRolling, changesContainers, planLimits } from "../../domain/limits-applied.ts";
import { containersOf, mergeLimits, readPatch } from "../requests/limits-patch.ts";

import { announceChange } from "../task-engine/topics.ts";
import { type ChangeStepDeps, runUpgrade } from "./changes.ts";
import type { StepContext } from "./install.ts";
import { replacePool } from "./replace-pool.ts";

/**
 * Gives what serves the new limits, or starts the plugin under them beside it; limits on calls are Berth's own to hold
 * and need neither. Where it cannot start under them, it serves on under the ones before. One whose install failed is
 * installed again, under the new ones.
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
  // In a shared one only the limits on calls are an Installation's own.
  const isOwn = pool !== undefined && pool.tenantId !== undefined;
  let limitsApplied = plan;
  // One that was given up gets another chance with whatever limits. A change that was cancelled late may have left
  // its Pool with other limits than the Installation shows.
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
