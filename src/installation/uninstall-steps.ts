import { Fault } from "../domain/fault.ts";
import { isTaskEnded, type Task } from "../domain/task.ts";
import type { PoolKeeper } from "../runtime/runtimes.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../util/clock.ts";
import type { StepContext } from "./install-steps.ts";

export interface UninstallStepDeps {
  readonly store: Store;
  readonly keeper: PoolKeeper;
  readonly clock: Clock;
  /** Length of a task's lease, and how often another's is looked at. */
  readonly leaseMs: number;
  readonly pollMs: number;
}

/**
 * Ends what still installs it, then removes the Pool's Containers where nobody else needs them, then the rows. The
 * image stays for the next install. Repeated, each part finds its work done.
 */
export async function runUninstall(
  deps: UninstallStepDeps,
  context: StepContext,
  signal: AbortSignal,
): Promise<void> {
  const { store, keeper } = deps;
  const { task, journal } = context;
  await endInstalls(deps, context, signal);
  // Read again: the install that was just ended may have given it its Pool.
  const installation = (await store.installations.find(task.installationId)) ?? context.installation;
  await journal.flush();
  if (installation.poolKey !== undefined) await keeper.removeIfUnused(installation.poolKey, signal);
  await store.installations.publishRemoved(task.id, task.attempt);
}

async function endInstalls(
  deps: UninstallStepDeps,
  { task, holder }: StepContext,
  signal: AbortSignal,
): Promise<void> {
  const filter = { tenantId: task.tenantId, installationId: task.installationId };
  for (;;) {
    const { items } = await deps.store.tasks.list(filter, { limit: 100 });
    const running = items.filter((other) => other.kind === "install" && !isTaskEnded(other.state));
    for (const other of running) await cancelUnheld(deps, other, holder);
    if (running.length === 0) return;
    // One that a worker holds ends itself when it sees the removal; one whose worker died, when its lease is over.
    await deps.clock.sleep(deps.pollMs, signal);
  }
}

async function cancelUnheld(
  { store, leaseMs }: UninstallStepDeps,
  other: Task,
  holder: string,
): Promise<void> {
  const claimed = await store.tasks.claim(other.id, holder, leaseMs);
  if (claimed === undefined) return;
  await store.tasks.finish(claimed.id, claimed.attempt, {
    state: "cancelled",
    cause: CANCELLED_CAUSE,
    markInstallation: false,
  });
}

const CANCELLED_CAUSE = { code: "cancelled", message: "The Installation was removed." } as const;

export function cancelled(): Fault {
  return new Fault(CANCELLED_CAUSE.code, CANCELLED_CAUSE.message);
}
