import { grantWanted } from "../../domain/limits.ts";
import type { StepContext } from "../install-steps.ts";
import { announceChange } from "./announce.ts";
import { mergeLimits, readPatch } from "./limits-patch.ts";
import { replacePool } from "./replace-pool.ts";
import { type ChangeStepDeps, runUpgrade } from "./upgrade-steps.ts";

/**
 * Starts the plugin under the new limits beside what serves. Where it cannot start under them, it serves on under the
 * ones before. One whose install failed is installed again, under the new ones.
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
  // In a shared one only the limits on calls are an Installation's own.
  const isOwn = pool !== undefined && pool.tenantId !== undefined;
  if (isOwn && installation.desired === "enabled")
    await replacePool(deps, context, { poolKey: pool.key, limits }, signal);
  const limitsGranted = limits;
  await deps.store.installations.publishReady(task.id, task.attempt, { ...change, limitsGranted });
  await announceChange(deps, installation);
}
