import { Fault } from "../domain/fault.ts";

/**
 * How many Invocations of one Installation run at once, and the queue before them. Entering is synchronous while
 * there is room. Places are handed on in the order of asking.
 */
export class Breaker {
  #inFlight = 0;
  #inFlightMax: number;
  readonly #queueMax: number;
  readonly #waiting = new Set<() => void>();

  constructor(limits: { inFlightMax: number; queueMax: number }) {
    this.#inFlightMax = limits.inFlightMax;
    this.#queueMax = limits.queueMax;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** A higher limit lets waiting ones in at once; a lower one takes effect as places are given back. */
  setInFlightMax(inFlightMax: number): void {
    this.#inFlightMax = inFlightMax;
    this.#grant();
  }

  /** Takes a place if one is free and nobody waits. */
  tryEnter(): boolean {
    if (this.#inFlight >= this.#inFlightMax || this.#waiting.size > 0) return false;
    this.#inFlight++;
    return true;
  }

  /** Calls `granted` once, with the place taken. The answer leaves the queue instead. Throws `busy` when it is full. */
  wait(granted: () => void): () => void {
    if (this.#waiting.size >= this.#queueMax) throw this.busy();
    // a wrapper of its own, so that the same function may wait twice
    const waiter = () => granted();
    this.#waiting.add(waiter);
    return () => this.#waiting.delete(waiter);
  }

  leave(): void {
    this.#inFlight--;
    this.#grant();
  }

  /** The refusal, with both numbers. */
  busy(waitedMs?: number): Fault {
    const state = `${this.#inFlight} of ${this.#inFlightMax} calls in flight, ${this.#waiting.size} of ${this.#queueMax} waiting`;
    const waited = waitedMs === undefined ? "" : `; waited ${waitedMs} ms`;
    return new Fault("busy", `The plugin is busy: ${state}${waited}.`, {
      details: {
        inFlight: this.#inFlight,
        inFlightMax: this.#inFlightMax,
        queued: this.#waiting.size,
        queueMax: this.#queueMax,
        ...(waitedMs === undefined ? {} : { waitedMs }),
      },
    });
  }

  #grant(): void {
    for (const waiter of this.#waiting) {
      if (this.#inFlight >= this.#inFlightMax) return;
      this.#waiting.delete(waiter);
      this.#inFlight++;
      waiter();
    }
  }
}
