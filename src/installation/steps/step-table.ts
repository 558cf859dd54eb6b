import type { InstallationTask } from "../../domain/task.ts";
import type { TenantStorage } from "../../storage/tenant-storage.ts";
import type { Steps, StepTable } from "../task-engine/steps.ts";
import { cancelled } from "../task-engine/while-wanted.ts";
import { runBatch } from "./batch.ts";
import { runBundle } from "./bundle.ts";
import {
  type ChangeStepDeps,
  runDisable,
  runEnable,
  runRestart,
  runRollback,
  runUpgrade,
} from "./changes.ts";
import { type FetchStepDeps, runFetch } from "./fetch.ts";
import { runInstall, type StepContext } from "./install.ts";
import { runLimits } from "./limits.ts";
import { runRemoveTenant } from "./remove-tenant.ts";
import { undoTask } from "./undo-task.ts";
import { runUninstall } from "./uninstall.ts";

export interface StepTableDeps extends ChangeStepDeps, FetchStepDeps {
  readonly storage: TenantStorage;
}

type InstallationSteps = (deps: StepTableDeps, context: StepContext, signal: AbortSignal) => Promise<void>;

/** The work of every kind of task: the one place where the task engine meets its steps. */
export function createStepTable(deps: StepTableDeps): StepTable {
  const undo: Steps["undo"] = (undoing) => undoTask(deps, undoing);
  const change = { undo, isRemoval: false };
  const removal = { undo, isRemoval: true };
  return {
    install: { ...change, run: ofInstallation(deps, runInstall) },
    upgrade: { ...change, run: ofInstallation(deps, runUpgrade) },
    rollback: { ...change, run: ofInstallation(deps, runRollback) },
    restart: { ...change, run: ofInstallation(deps, runRestart) },
    enable: { ...change, run: ofInstallation(deps, runEnable) },
    disable: { ...change, run: ofInstallation(deps, runDisable) },
    limits: { ...change, run: ofInstallation(deps, runLimits) },
    uninstall: { ...removal, run: ofInstallation(deps, runUninstall) },
    fetch: { ...change, run: (context, signal) => runFetch(deps, context, signal) },
    bundle: { ...change, run: (context, signal) => runBundle(deps, context, signal) },
    batch: { ...change, run: (context, signal) => runBatch(deps, context, signal) },
    remove_tenant: { ...removal, run: (context, signal) => runRemoveTenant(deps, context, signal) },
    unknown: { ...change, run: ofInstallation(deps, refuseUnknown) },
  };
}

/** Reads the installation once for the steps. Throws `cancelled` where it is gone. */
function ofInstallation(deps: StepTableDeps, run: InstallationSteps): Steps<InstallationTask>["run"] {
  return async (context, signal) => {
    const installation = await deps.store.installations.find(context.task.installationId);
    if (installation === undefined) throw cancelled();
    await run(deps, { ...context, installation }, signal);
  };
}

/** A worker that is older than the task's kind fails it by name, and changes nothing else. */
async function refuseUnknown(_: StepTableDeps, { task }: StepContext): Promise<void> {
  throw new Error(`this worker knows no task of the kind ${task.kind}`);
}
