import { toFault } from "../../../domain/fault.ts";
import type { PoolContext } from "./pool-context.ts";
import type { EndAsked, SupervisedRuntime } from "./supervised-runtime.ts";

/**
 * Drains a runtime and ends it, in the background: it takes no new calls from now on, ends with its last call or after
 * the drain's limit, and leaves the pool. The pass that follows does what its end makes necessary. Never throws: a
 * failure is logged, and the next pass recovers the runtime from its row.
 */
export function drain(
  { key, deps, runtimes, scheduleReconcile }: PoolContext,
  runtime: SupervisedRuntime,
  reason: EndAsked,
): void {
  const { lifetime, log } = deps;
  runtime
    .drain(reason)
    .catch((error: unknown) => {
      if (!lifetime.aborted) log.warn({ op: "runtime.drain", ok: false, pool: key, err: toFault(error) });
    })
    .finally(() => {
      runtimes.delete(runtime.live.record.id);
      scheduleReconcile();
    });
}
