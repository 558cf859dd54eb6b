import { z } from "zod";
import { grantWanted, type LimitsPolicy } from "../../domain/limits.ts";
import type { InstallationTask } from "../../domain/task.ts";
import type { Published } from "../../store/contracts/installations.ts";
import { announceChange } from "../task-engine/announce-change.ts";
import { type InstallStepDeps, runInstall, type StepContext } from "./install.ts";

export interface ChangeStepDeps extends InstallStepDeps {
  readonly limits: LimitsPolicy;
}

/**
 * Runs the steps of an install beside the installed version, which serves until the new Pool has passed its start probe,
 * and goes on serving where a step fails. Limits that the Tenant chose are kept.
 */
export async function runUpgrade(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  await runInstall(deps, await asDesired(deps, context), signal);
  await announceChange(deps, context.installation);
}

/** The context with the Installation as it is to be once the task is ready. */
export async function asDesired(deps: ChangeStepDeps, context: StepContext): Promise<StepContext> {
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

/** The part of an upgrade's input that names the origin of its Package. */
const OriginInput = z.object({
  origin: z.object({ source: z.string(), meta: z.record(z.string(), z.unknown()) }).optional(),
});

function originOf({ kind, input }: InstallationTask): Pick<Published, "origin"> {
  const { origin } = OriginInput.parse(input);
  return kind === "upgrade" && origin !== undefined ? { origin } : {};
}
