/**
 * Puts a runtime under supervision. From `admit` on it counts as serving and its health is checked. A runtime that fails
 * its checks takes no new calls, and the pass that is asked for here reaps it.
 */
import type { LiveRuntime } from "../../launch/launch.ts";
import type { PoolContext } from "./pool-context.ts";
import { SupervisedRuntime } from "./supervised-runtime.ts";

/** `readyAt`: milliseconds since the epoch at which it became ready; now, unless an earlier keeper started it. */
export function admit(
  context: PoolContext,
  live: LiveRuntime,
  readyAt = context.deps.clock.now(),
): SupervisedRuntime {
  const { deps, restarts, scheduleReconcile } = context;
  const runtime = supervise(context, live, readyAt);
  const { id } = live.record;
  runtime.watch({
    onUnhealthy: (why) => restarts.showHealth(id, why),
    onSpared: (why, because) => restarts.showHealth(id, why, because),
    onHealthy: () => restarts.showHealth(id, undefined),
    onDead: (why) => {
      runtime.markFailed("unhealthy", why);
      scheduleReconcile();
    },
  });
  // It may have ended before anything listened for its end.
  if (deps.links.exitOf(id) !== undefined) runtime.markFailed(undefined);
  return runtime;
}

/** Adds it without health checks: for one whose end is known already. */
export function supervise(
  { deps, runtimes }: PoolContext,
  live: LiveRuntime,
  readyAt: number,
): SupervisedRuntime {
  const runtime = new SupervisedRuntime(deps, live, readyAt);
  runtimes.add(runtime);
  return runtime;
}
