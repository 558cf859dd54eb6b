import { z } from "zod";
import { grantWanted, type LimitsPolicy } from "../../domain/limits.ts";
import type { InstallationTask } from "../../domain/task.ts";
import type { Published } from "../../store/contracts/installations.ts";
import { announceChange } from "../task-engine/topics.ts";
import { type InstallStepDeps, needsOfPackage, runInstall, type StepContext } from "./install.ts";
import { replacePool } from "./replace-pool.ts";
import { startPool } from "./start-pool.ts";

export interface ChangeStepDeps extends InstallStepDeps {
  readonly limits: LimitsPolicy;
}

/**
 * The steps of an install beside what is installed: it serves until the new Pool has passed its start probe, and goes
 * on where any of them fails. What its Tenant chose of the limits is kept.
 */
export async function runUpgrade(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  await runInstall(deps, await asWanted(deps, context), signal);
  await announceChange(deps, context.installation);
}

/** The Installation as it is to be once the task is ready, and what that brings. */
async function asWanted(deps: ChangeStepDeps, context: StepContext): Promise<StepContext> {
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

/** Where an upgrade says that its Package came from. */
const OriginInput = z.object({
  origin: z.object({ source: z.string(), meta: z.record(z.string(), z.unknown()) }).optional(),
});

function originOf({ kind, input }: InstallationTask): Pick<Published, "origin"> {
  const { origin } = OriginInput.parse(input);
  return kind === "upgrade" && origin !== undefined ? { origin } : {};
}

interface KnownImage {
  readonly imageKey: string;
  readonly imageRef: string;
  readonly warnings: readonly string[];
}

/** The image under that key, where the Engine still has it. */
async function findKnownImage(
  { store, engine }: Pick<ChangeStepDeps, "store" | "engine">,
  imageKey: string | undefined,
  signal: AbortSignal,
): Promise<KnownImage | undefined> {
  const row = imageKey === undefined ? undefined : await store.images.find(imageKey);
  if (row?.state !== "ready" || row.imageRef === undefined) return undefined;
  const { key, imageRef, warnings } = row;
  if ((await engine.findImage(imageRef, signal)) === undefined) return undefined;
  return { imageKey: key, imageRef, warnings };
}

/**
 * Starts the task's package from the image that it was started from before: neither network nor archive is asked for.
 * Where that image is gone, or was never there, the package is prepared as an upgrade prepares it.
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
  const wanted = await asWanted(deps, context);
  const warnings = [...new Set([...wanted.installation.warnings, ...image.warnings])];
  await startPool(deps, wanted, { image, entrypoint: pkg.runner.entrypoint, warnings }, signal);
  await journal.flush();
  signal.throwIfAborted();
  await deps.store.installations.publishReady(task.id, task.attempt, { ...wanted.change, warnings });
  await announceChange(deps, context.installation);
}

/** Back to the version before, from its own image; what serves now goes on until that one serves. */
export async function runRollback(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  await startKnown(deps, context, context.installation.previousImageKey, signal);
}

/** A new Container beside the old one, which ends with its last call. Ends `crash_loop`. */
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

/** Starts and probes it again. Where that fails it is disabled as before, and shows why. */
export async function runEnable(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  const { poolKey } = context.installation;
  const pool = poolKey === undefined ? undefined : await deps.store.pools.find(poolKey);
  await startKnown(deps, context, pool?.imageKey, signal);
}

/** How long the task waits for calls that are open: their Container stops with the last of them in any case. */
const STOP_WAIT_MS = 10_000;

/** Calls are refused since the acceptance. Image, rows, storage and endpoints stay. */
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
