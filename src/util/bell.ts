import type { Clock } from "./clock.ts";

/** Wakes one waiter. A ring while nobody waits is remembered for the next wait; several rings count as one. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves at the next ring or after `ms`; rejects with the signal's reason when it aborts first. */
  async wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#rung) {
      const stop = new AbortController();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const both = AbortSignal.any([signal, stop.signal]);
      try {
        await Promise.race([promise, clock.sleep(ms, both)]);
      } finally {
        this.#wake = undefined;
        stop.abort();
      }
    }
    this.#rung = false;
    signal.throwIfAborted();
  }
}
