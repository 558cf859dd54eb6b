import type { StepContext } from "./install.ts";
import { startKnown } from "./start-known.ts";
import type { ChangeStepDeps } from "./upgrade.ts";

/** Returns to the previous version from its own image; the current one serves until that is ready. */
export async function runRollback(
  deps: ChangeStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  await startKnown(deps, context, context.installation.previousImageKey, signal);
}
