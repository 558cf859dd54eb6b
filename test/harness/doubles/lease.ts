import type { Clock } from "../../../src/util/clock.ts";

/** As the store reckons: a lease has no end that far ahead, unless the clock was set back since. */
const LONGEST_MS = 600_000;

/** Whether a lease has run out, or was written before the clock was set back. */
export function isLeaseOver(expiresAt: Date, leaseMs: number, clock: Clock): boolean {
  const leftMs = expiresAt.getTime() - clock.now();
  return leftMs <= 0 || leftMs > Math.max(2 * leaseMs, LONGEST_MS);
}
