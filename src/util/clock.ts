import { setTimeout as sleep } from "node:timers/promises";

/** Time as a value that is passed in, so that tests move it by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds since some moment: how long something takes, whoever sets the clock meanwhile. */
  elapsed(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  // Node rejects with an error of its own, which has the signal's reason as its cause.
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted()),
};

/** Does the work each `everyMs`, one after the other, until the signal aborts. The work must not throw. */
export async function repeat(
  { clock, everyMs }: { readonly clock: Clock; readonly everyMs: number },
  work: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(everyMs, signal).catch(() => undefined);
    if (!signal.aborted) await work();
  }
}
