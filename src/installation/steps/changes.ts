import { z } from "zod";
import { grantWanted, type LimitsPolicy } from "../../domain/limits.ts";
import type { InstallationTask } from "../../domain/task.ts";
import type { Published } from "../../store/contracts/installations.ts";
import { findKnownImage } from "../images/ready-image.ts";
import { announceChange } from "../task-engine/topics.ts";
import { type InstallStepDeps, needsOfPackage, runInstall, type StepContext } from "./install.ts";
import { replacePool } from "./replace-pool.ts";
import { startPool } from "./start-pool.ts";

export interface ChangeStepDeps extends InstallStepDeps {
  readonly limits: LimitsPolicy;
}

/**
 * Runs the steps of an install beside the installed version, which serves until the new pool has passed its start probe,
 * and goes on serving where a step fails. Limits that the tenant chose are kept.
 */
export async function runUpgrade(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  await runInstall(deps, await asDesired(deps, context), signal);
  await announceChange(deps, context.installation);
}

/** The context with the installation as it is to be once the task is ready. */
async function asDesired(deps: ChangeStepDeps, context: StepContext): Promise<StepContext> {
  const { task, installation } = context;
  const { identifier } = task;
  const pkg = await deps.store.packages.find(identifier);
  const limitsAsked = pkg?.limitsAsked ?? installation.limitsAsked;
  const granted = grantWanted(limitsAsked, installation.limitsWanted, deps.limits);
  const changed = { limitsAsked, limitsGranted: granted.limits };
  const warnings = [...(pkg?.warnings ?? []), ...granted.notes];
  return {
    ...context,
    installation: { ...installation, ...changed, identifier, warnings },
    change: { ...context.change, ...changed, ...originOf(task) },
  };
}

/** The part of an upgrade's input that names the origin of its package. */
const OriginInput = z.object({
  origin: z.object({ source: z.string(), meta: z.record(z.string(), z.unknown()) }).optional(),
});

function originOf({ kind, input }: InstallationTask): Pick<Published, "origin"> {
  const { origin } = OriginInput.parse(input);
  return kind === "upgrade" && origin !== undefined ? { origin } : {};
}

/**
 * Starts the task's package from the image under that key, which needs neither network nor archive. Where there is no
 * such image, it prepares the package as an upgrade does.
 */
async function startKnown(
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

/** Returns to the previous version from its own image; the current one serves until that is ready. */
export async function runRollback(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  await startKnown(deps, context, context.installation.previousImageKey, signal);
}

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

/** Starts and probes the plugin again. Where that fails it stays disabled and shows the cause. */
export async function runEnable(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  const { poolKey } = context.installation;
  const pool = poolKey === undefined ? undefined : await deps.store.pools.find(poolKey);
  await startKnown(deps, context, pool?.imageKey, signal);
}

/** How long the task waits for open calls; the container stops with the last of them in any case. */
const STOP_WAIT_MS = 10_000;

/** Stops the containers. Calls are refused since the request was accepted; image, rows, storage and endpoints stay. */
export async function runDisable(
  deps: ChangeStepDeps,
  { task, installation, journal }: StepContext,
  signal: AbortSignal,
): Promise<void> {
  const { poolKey } = installation;
  const options = { waitMs: STOP_WAIT_MS };
  if (poolKey !== undefined && !(await deps.keeper.stopIfIdle(poolKey, options, signal)))
    journal.progress("calls are still open; the container stops with the last of them");
  await journal.flush();
  signal.throwIfAborted();
  await deps.store.installations.publishReady(task.id, task.attempt);
  await announceChange(deps, installation);
}
