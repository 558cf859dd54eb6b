import { toFault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import type { ForeignCall } from "./runtime-links.ts";

/** The store writes no more, and a plugin can try thousands of times in a second. */
const PERIOD_MS = 60_000;
/** Most pools that are remembered apart. */
const POOLS_MAX = 10_000;

export interface ForeignCallAuditDeps {
  readonly store: { readonly events: Pick<Store["events"], "recordForeignCall"> };
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Records calls back for sessions that are not open as audit events, of each pool at most one in a minute. Never throws;
 * what the store does not take is in the log.
 */
export function createForeignCallAudit({
  store,
  clock,
  log,
}: ForeignCallAuditDeps): (call: ForeignCall) => void {
  const recordedAt = new Map<string, number>();
  return ({ poolKey }) => {
    const now = clock.elapsed();
    const last = recordedAt.get(poolKey);
    if (last !== undefined && now < last + PERIOD_MS) return;
    recordedAt.delete(poolKey);
    recordedAt.set(poolKey, now);
    const [oldest = ""] = recordedAt.keys();
    if (recordedAt.size > POOLS_MAX) recordedAt.delete(oldest);
    store.events.recordForeignCall(poolKey).catch((error: unknown) => {
      recordedAt.delete(poolKey);
      log.error({ op: "runtime.foreign_call", ok: false, pool: poolKey, err: toFault(error) });
    });
  };
}
