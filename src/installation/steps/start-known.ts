import { findKnownImage } from "../images/ready-image.ts";
import { announceChange } from "../task-engine/announce-change.ts";
import { needsOfPackage, type StepContext } from "./install.ts";
import { startPool } from "./start-pool.ts";
import { asDesired, type ChangeStepDeps, runUpgrade } from "./upgrade.ts";

/**
 * Starts the task's package from the image under that key, which needs neither network nor archive. Where there is no
 * such image, it prepares the package as an upgrade does.
 */
export async function startKnown(
  deps: ChangeStepDeps,
  context: StepContext,
  imageKey: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { task, journal } = context;
  const image = await findKnownImage(deps, imageKey, signal);
  const pkg = await deps.store.packages.find(task.identifier);
  if (image === undefined || pkg === undefined) return await runUpgrade(deps, context, signal);
  await needsOfPackage(deps, context, pkg);
  await context.enter("starting");
  const wanted = await asDesired(deps, context);
  const warnings = [...new Set([...wanted.installation.warnings, ...image.warnings])];
  await startPool(deps, wanted, { image, entrypoint: pkg.runner.entrypoint, warnings }, signal);
  await journal.flush();
  signal.throwIfAborted();
  await deps.store.installations.publishReady(task.id, task.attempt, { ...wanted.change, warnings });
  await announceChange(deps, context.installation);
}
