/**
 * Ends what has failed. Each end of a runtime is counted once, and the restart policy decides what follows: the row of
 * the pool then says `starting`, `backoff` or `crash_loop`.
 */
import { Fault } from "../../../domain/fault.ts";
import type { EndedRuntime } from "../../launch/exit-cause.ts";
import type { PoolContext } from "./pool-context.ts";
import type { Replicas } from "./replicas.ts";
import { isOnPurpose } from "./restart-policy.ts";
import type { SupervisedRuntime } from "./supervised-runtime.ts";

/** Removes container, link, folder and row, then counts the end unless somebody asked for it. */
export async function reap(
  context: PoolContext,
  replicas: Replicas,
  runtime: SupervisedRuntime,
): Promise<void> {
  const ended = await runtime.end();
  context.runtimes.delete(ended.id);
  if (isOnPurpose(ended.end)) return;
  const healthyForMs = context.deps.clock.now() - runtime.readyAt;
  await countFailure(context, replicas, { ended, slot: runtime.slot, healthyForMs });
}

/**
 * Does nothing where the pool needs no next start: it is stopped, idle or given up, or a newer runtime serves in the
 * slot already.
 */
export async function countFailure(
  { key, deps, runtimes, restarts }: PoolContext,
  replicas: Replicas,
  failure: { readonly ended: EndedRuntime; readonly slot: number; readonly healthyForMs: number },
): Promise<void> {
  const { ended, slot, healthyForMs } = failure;
  const pool = await deps.store.pools.find(key);
  if (pool === undefined || !pool.wanted || runtimes.slots.has(slot)) return;
  if (pool.state === "idle" || pool.state === "crash_loop") return;
  if (runtimes.isServing) return await replicas.noteEnd(ended, healthyForMs);
  const delayMs = await restarts.failed(ended, healthyForMs);
  replicas.holdBack(delayMs ?? deps.supervision.backoffMaxMs);
  if (delayMs === undefined)
    replicas.abandonStart(new Fault("cancelled", "The plugin crashed repeatedly; its start was cancelled."));
}
