import { setTimeout as sleep } from "node:timers/promises";

/** Time as a value that is passed in, so that tests can control it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds since some moment, for durations: unaffected when the system clock is set. */
  elapsed(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  // Node rejects with an error of its own that has the signal's reason as its cause.
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted()),
};

/** Runs the work every `everyMs`, one run after the other, until the signal aborts. The work must not throw. */
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

/**
 * The same, with all polls of one period at the same moments of the clock, whenever each was started: what they ask of
 * the database, they ask together.
 */
export async function poll(
  { clock, everyMs }: { readonly clock: Clock; readonly everyMs: number },
  work: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(untilPoll({ clock, everyMs }), signal).catch(() => undefined);
    if (!signal.aborted) await work();
  }
}

/** Timers fire this much too early at most. */
const EARLY_MS = 5;

/** Milliseconds until the next moment of the period: `everyMs` at most, but for a few. */
export function untilPoll({ clock, everyMs }: { readonly clock: Clock; readonly everyMs: number }): number {
  const now = clock.elapsed();
  return (Math.floor((now + EARLY_MS) / everyMs) + 1) * everyMs - now;
}
