import type { StepContext } from "./install.ts";
import { startKnown } from "./start-known.ts";
import type { ChangeStepDeps } from "./upgrade.ts";

/** Back to the version before, from its own image; what serves now goes on until that one serves. */
export async function runRollback(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  await startKnown(deps, context, context.installation.previousImageKey, signal);
}
