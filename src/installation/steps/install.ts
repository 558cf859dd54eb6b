/**
 * The steps of an install, in order, each idempotent: a worker that takes over runs them again from the start, and
 * finished ones return at once. Only `publishReady` at the end makes the result visible to others.
 */
import { Fault } from "../../domain/fault.ts";
import type { Installation } from "../../domain/installation.ts";
import type { Package } from "../../domain/package.ts";
import type { InstallationTask } from "../../domain/task.ts";
import type { PackageStore } from "../../packages/package-store.ts";
import type { Published } from "../../store/contracts/installations.ts";
import { type InstallNeedsDeps, installNeeds } from "../dependencies/install-needs.ts";
import type { ImageBuilderDeps } from "../images/build-image.ts";
import { ensureImage } from "../images/ensure-image.ts";
import { type PackageAccessDeps, verifyPackage } from "../packages/verify-package.ts";
import type { TaskContext } from "../task-engine/steps.ts";
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

export interface StepContext extends TaskContext<InstallationTask> {
  readonly installation: Installation;
  /** What `publishReady` writes to the installation beside the results of the steps. */
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
  const { image, warnings: found } = await ensureImage(
    deps,
    { ...context, tenantId: task.tenantId, pkg, source, warnings: context.installation.warnings },
    signal,
  );

  await enter("starting");
  const known = [...context.installation.warnings, ...(trust.warning === undefined ? [] : [trust.warning])];
  const warnings = [...new Set([...known, ...found])];
  const key = await startPool(deps, context, { image, entrypoint: pkg.runner.entrypoint, warnings }, signal);
  const before = context.installation.poolKey;
  if (task.kind === "install" && before !== undefined && before !== key)
    await deps.keeper.removeIfUnused(before, signal);
  await journal.flush();
  signal.throwIfAborted();
  await deps.store.installations.publishReady(task.id, task.attempt, { ...context.change, warnings, trust });
}

/** Resolves once the package's dependencies are ready; throws `waitsFor` the tasks that install them until then. */
export async function needsOfPackage(
  deps: InstallNeedsDeps,
  { task, installation, journal }: Pick<StepContext, "task" | "installation" | "journal">,
  { identifier, pluginId, dependencies: needs }: Package,
): Promise<void> {
  const root = { name: identifier, pluginId, needs };
  await installNeeds(deps, { task, journal, root, needing: { id: installation.id, identifier } });
}
