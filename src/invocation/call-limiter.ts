import { Fault } from "../domain/fault.ts";

/** The concurrency of one installation, and the processes that share it. */
export interface CallLimit {
  /** What the installation is granted, over all processes. */
  readonly granted: number;
  /** How many processes answer calls: each admits its share, rounded up. */
  readonly processes: number;
}

/**
 * Bounds the calls of one installation that run at once in this process, and queues the next ones. Entering is
 * synchronous while there is room. The queue is first in, first out.
 */
export class CallLimiter {
  #inFlight = 0;
  #limit: CallLimit;
  readonly #queueMax: number;
  readonly #waiting = new Set<() => void>();

  constructor({ limit, queueMax }: { limit: CallLimit; queueMax: number }) {
    this.#limit = limit;
    this.#queueMax = queueMax;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** This process's share of the limit. */
  get inFlightMax(): number {
    return Math.ceil(this.#limit.granted / this.#limit.processes);
  }

  /** A higher share admits waiting calls at once; a lower one takes effect as running calls leave. */
  setLimit(limit: CallLimit): void {
    this.#limit = limit;
    this.#grant();
  }

  /** Takes a place if one is free and no call waits. */
  tryEnter(): boolean {
    if (this.#inFlight >= this.inFlightMax || this.#waiting.size > 0) return false;
    this.#inFlight++;
    return true;
  }

  /**
   * Calls `granted` once it has taken a place. The returned function leaves the queue. Throws `busy` when it is full.
   */
  wait(granted: () => void): () => void {
    if (this.#waiting.size >= this.#queueMax) throw this.busy();
    // a wrapper of its own, so that the same function can wait twice
    const waiter = () => granted();
    this.#waiting.add(waiter);
    return () => this.#waiting.delete(waiter);
  }

  leave(): void {
    this.#inFlight--;
    this.#grant();
  }

  /** The refusal, with both numbers; where processes share the limit, also with the limit and their number. */
  busy(waitedMs?: number): Fault {
    const { granted, processes } = this.#limit;
    const calls = `${this.#inFlight} of ${this.inFlightMax} calls in flight`;
    const share = processes === 1 ? "" : ` (one process's share of ${granted} among ${processes})`;
    const state = `${calls}${share}, ${this.#waiting.size} of ${this.#queueMax} waiting`;
    const waited = waitedMs === undefined ? "" : `; waited ${waitedMs} ms`;
    return new Fault("busy", `The plugin is busy: ${state}${waited}.`, {
      details: {
        inFlight: this.#inFlight,
        inFlightMax: this.inFlightMax,
        ...(processes === 1 ? {} : { concurrencyMax: granted, processes }),
        queued: this.#waiting.size,
        queueMax: this.#queueMax,
        ...(waitedMs === undefined ? {} : { waitedMs }),
      },
    });
  }

  #grant(): void {
    for (const waiter of this.#waiting) {
      if (this.#inFlight >= this.inFlightMax) return;
      this.#waiting.delete(waiter);
      this.#inFlight++;
      waiter();
    }
  }
}
