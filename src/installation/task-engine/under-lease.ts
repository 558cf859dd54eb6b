import { Fault, isFault } from "../../domain/fault.ts";
import type { Clock } from "../../util/clock.ts";

export interface LeaseOptions {
  readonly clock: Clock;
  readonly leaseMs: number;
  /** Extends the lease by `leaseMs`; throws `lease_lost` when another holder has it. */
  readonly renew: () => Promise<void>;
}

/**
 * Runs the work while it renews a lease at a third of its length. When the lease is lost (another holder took it, or the
 * store did not answer until it expired) the work's signal aborts with `lease_lost`: from then on another holder may do
 * the same work.
 */
export async function underLease<T>(
  { clock, leaseMs, renew }: LeaseOptions,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const done = new AbortController();
  const keep = async () => {
    let renewedAt = clock.now();
    while (!done.signal.aborted) {
      await clock.sleep(Math.max(1, leaseMs / 3), done.signal);
      const asked = clock.now();
      try {
        await renew();
        renewedAt = asked;
      } catch (error) {
        const ageMs = clock.now() - renewedAt;
        // A negative age means that the clock was set back: the lease may have expired.
        if (!isFault(error, "lease_lost") && ageMs >= 0 && ageMs < leaseMs) continue;
        lost.abort(
          new Fault("lease_lost", "The lease is lost; another worker may hold it now.", { cause: error }),
        );
        return;
      }
    }
  };
  const keeping = keep().catch(() => undefined);
  try {
    return await work(AbortSignal.any([signal, lost.signal]));
  } finally {
    done.abort();
    await keeping;
  }
}
