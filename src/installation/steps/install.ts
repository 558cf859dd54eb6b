/**
 * The steps of an install, in order, each idempotent: a worker that takes over walks them again from the start, and
 * what was done already answers at once. Only `publishReady` at the end makes anything visible to others.
 */
import { Fault } from "../../domain/fault.ts";
import type { Installation } from "../../domain/installation.ts";
import type { Package } from "../../domain/package.ts";
import type { InstallationTask, TaskStep } from "../../domain/task.ts";
import type { PackageStore } from "../../packages/package-store.ts";
import type { Published } from "../../store/contracts/installations.ts";
import { type InstallNeedsDeps, installNeeds } from "../dependencies/install-needs.ts";
import type { ImageBuilderDeps } from "../images/build-image.ts";
import { prepareImage } from "../images/prepare-image.ts";
import { type PackageAccessDeps, verifyPackage } from "../packages/verify-package.ts";
import type { TaskJournal } from "../task-engine/task-journal.ts";
import { decideForTask } from "../trust/decide-for-task.ts";
import type { Trust } from "../trust/trust.ts";
import { type StartPoolDeps, startPool } from "./start-pool.ts";

export interface InstallStepDeps
  extends ImageBuilderDeps,
    PackageAccessDeps,
    InstallNeedsDeps,
    Omit<StartPoolDeps, "store"> {
  readonly packageStore: PackageStore;
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
  /** What the Installation gets with the end of the task, beside what the steps find. */
  readonly change?: Published;
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
  await needsOfPackage(deps, context, pkg);
  const { image, warnings: found } = await prepareImage(
    deps,
    { ...context, pkg, source, warnings: context.installation.warnings },
    signal,
  );

  await enter("starting");
  const said = [...context.installation.warnings, ...(trust.warning === undefined ? [] : [trust.warning])];
  const warnings = [...new Set([...said, ...found])];
  const key = await startPool(deps, context, { image, entrypoint: pkg.runner.entrypoint, warnings }, signal);
  const before = context.installation.poolKey;
  if (task.kind === "install" && before !== undefined && before !== key)
    await deps.keeper.removeIfUnused(before, signal);
  await journal.flush();
  signal.throwIfAborted();
  await deps.store.installations.publishReady(task.id, task.attempt, { ...context.change, warnings, trust });
}

/** What the Package needs is ready when this resolves; it throws `waitsFor` until then. */
export async function needsOfPackage(
  deps: InstallNeedsDeps,
  { task, installation, journal }: Pick<StepContext, "task" | "installation" | "journal">,
  { identifier, pluginId, dependencies: needs }: Package,
): Promise<void> {
  const root = { name: identifier, pluginId, needs };
  await installNeeds(deps, { task, journal, root, needing: { id: installation.id, identifier } });
}
