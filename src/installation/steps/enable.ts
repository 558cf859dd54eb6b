import type { StepContext } from "./install.ts";
import { startKnown } from "./start-known.ts";
import type { ChangeStepDeps } from "./upgrade.ts";

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
