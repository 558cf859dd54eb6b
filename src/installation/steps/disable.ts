import { announceChange } from "../task-engine/announce-change.ts";
import type { StepContext } from "./install.ts";
import type { ChangeStepDeps } from "./upgrade.ts";

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
