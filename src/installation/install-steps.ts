/**
 * The steps of an install, in order, each idempotent: a worker that takes over walks them again from the start, and
 * what was done already answers at once. Only `publishReady` at the end makes anything visible to others.
 */
import { Fault } from "../domain/fault.ts";
import type { Installation } from "../domain/installation.ts";
import type { Limits } from "../domain/limits.ts";
import type { InstallationTask, TaskStep } from "../domain/task.ts";
import type { PackageStore } from "../packages/package-store.ts";
import { poolKey } from "../runtime/pool-key.ts";
import type { PoolKeeper } from "../runtime/runtimes.ts";
import {
  checkArch,
  ensurePackageImage,
  type ImageBuilderDeps,
  type PackageImage,
} from "./build/build-image.ts";
import { indexSettingsHash } from "./build/keys.ts";
import { pickRuntimeImage } from "./build/runtime-image.ts";
import { type PackageAccessDeps, verifyPackage } from "./package-access.ts";
import { type IsolationSettings, poolShape } from "./pool-of.ts";
import type { TaskJournal } from "./task-journal.ts";
import type { Trust } from "./trust.ts";
import { decideForTask } from "./trust-step.ts";

export interface InstallStepDeps extends ImageBuilderDeps, PackageAccessDeps {
  readonly packageStore: PackageStore;
  readonly keeper: PoolKeeper;
  readonly isolation: IsolationSettings;
  /** Limits of Pools that Tenants share. */
  readonly sharedLimits: Limits;
  readonly trust: Trust;
}

export interface StepContext {
  readonly task: InstallationTask;
  readonly installation: Installation;
  readonly journal: TaskJournal;
  /** Enters a step: recorded with its time, unless the task had reached it before. */
  readonly enter: (step: TaskStep) => Promise<void>;
  /** Names this worker and this run of the task. */
  readonly holder: string;
}

export async function runInstall(
  deps: InstallStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  const { enter, task, journal } = context;
  await enter("fetching");
  const pkg = await deps.store.packages.find(task.identifier);
  if (pkg === undefined) {
    throw new Fault("package_not_found", `The package ${task.identifier} has not been uploaded.`);
  }
  await using archive = await deps.packageStore.open(task.identifier, signal);

  await enter("verifying");
  const source = await verifyPackage({ archivePath: archive.path, pkg }, deps, signal);
  const trust = await decideForTask(deps, source.read, context);

  await enter("resolving");
  const { arch } = await deps.engine.info(signal);
  checkArch(pkg, arch);
  const runtime = await pickRuntimeImage(deps.engine, pkg, deps.settings.python, signal);
  // With those of the upload: whoever reads only the task sees what was left out of the package too.
  for (const warning of new Set([...context.installation.warnings, ...runtime.warnings])) {
    journal.warning(warning);
  }

  await enter("building");
  const image = await ensurePackageImage(
    deps,
    {
      pkg,
      source,
      base: {
        runtimeImageId: runtime.id,
        arch,
        settingsHash: indexSettingsHash(deps.settings.index),
      },
      runtimeImage: runtime.id,
      holder: context.holder,
      onLog: (text) => journal.log(text),
      onProgress: (message) => journal.progress(message),
    },
    signal,
  );
  for (const warning of image.warnings) journal.warning(warning);
  journal.progress(image.built ? "the image is built" : "the image was there already");

  await enter("starting");
  const said = [...context.installation.warnings, ...(trust.warning === undefined ? [] : [trust.warning])];
  const warnings = [...new Set([...said, ...runtime.warnings, ...image.warnings])];
  const key = await startPool(deps, context, { image, entrypoint: pkg.runner.entrypoint, warnings }, signal);
  const before = context.installation.poolKey;
  if (before !== undefined && before !== key) await deps.keeper.removeIfUnused(before, signal);
  await journal.flush();
  signal.throwIfAborted();
  await deps.store.installations.publishReady(task.id, task.attempt, { trust });
}

/** Answers the Pool's key. */
async function startPool(
  deps: InstallStepDeps,
  { installation, journal }: StepContext,
  { image, entrypoint, warnings }: { image: PackageImage; entrypoint: string; warnings: readonly string[] },
  signal: AbortSignal,
): Promise<string> {
  const shape = poolShape(installation, deps.isolation, deps.sharedLimits);
  const key = poolKey(image.imageKey, shape.tenantId);
  // Before the Pool is there: whoever is about to remove one that nobody needs sees that somebody does.
  await deps.store.installations.setPool(installation.id, key, warnings);
  await deps.store.pools.ensure({
    key,
    ...shape,
    pluginId: installation.pluginId,
    identifier: installation.identifier,
    imageKey: image.imageKey,
    imageRef: image.imageRef,
    runner: { entrypoint },
    wanted: true,
  });
  try {
    await deps.keeper.ensureReady(key, { onLog: (text) => journal.log(text) }, signal);
  } catch (error) {
    // A worker that stops, or whose lease is lost, leaves the Pool to the one that goes on.
    if (!signal.aborted) await unwant(deps, key);
    throw error;
  }
  return key;
}

/** A Pool whose first start failed is not started again by supervision, unless it serves somebody already. */
async function unwant({ store }: InstallStepDeps, key: string): Promise<void> {
  const { items } = await store.installations.list({ poolKey: key }, { limit: 100 });
  if (items.some(({ state }) => state === "ready" || state === "crash_loop")) return;
  await store.pools.setWanted(key, false);
}
