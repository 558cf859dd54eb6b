import { setTimeout as turn } from "node:timers/promises";
import type { Clock } from "../../../src/util/clock.ts";

interface Sleeper {
  at: number;
  readonly wake: () => void;
}

/** Time that stands still until a test moves it. */
export class ManualClock implements Clock {
  readonly #sleepers = new Set<Sleeper>();
  #now: number;
  #elapsed = 0;

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      };
      const sleeper: Sleeper = {
        at: this.#now + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Sets the clock back; sleepers go on sleeping for the time they have left. */
  setBack(ms: number): void {
    this.#now -= ms;
    for (const sleeper of this.#sleepers) sleeper.at -= ms;
  }

  /** Advances step by step, so that a woken sleeper can sleep again within the time. */
  async advance(ms: number, stepMs = 50): Promise<void> {
    for (const until = this.#now + ms; this.#now < until; ) {
      const step = Math.min(until - this.#now, stepMs);
      this.#now += step;
      this.#elapsed += step;
      for (const sleeper of [...this.#sleepers].sort((a, b) => a.at - b.at)) {
        if (sleeper.at <= this.#now) sleeper.wake();
      }
      // Work on real files takes the machine's time, and none of this clock's.
      await turn(1);
    }
  }

  /** Lets time pass until the condition holds; fails once `withinMs` of it have gone. */
  async until(condition: () => boolean, withinMs = 5_000): Promise<void> {
    for (const from = this.#now; !condition(); ) {
      if (this.#now - from >= withinMs) throw new Error(`not within ${withinMs} ms: ${condition}`);
      await this.advance(20);
    }
  }
}
