import type { Clock } from "./clock.ts";

export interface DeadlineOptions {
  readonly clock: Clock;
  readonly ms: number;
  /** The reason of the abort; `not within <ms> ms` where absent. */
  readonly late?: () => Error;
}

/**
 * A signal that aborts once `ms` have passed on the clock, or with the reason of a given signal where that aborts
 * first. Node's `AbortSignal.timeout` is the same where neither the clock nor the reason matters and the time may run
 * on after the work. This one holds a timer until it is disposed: `using deadline = new Deadline(...)`.
 */
export class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #over = new AbortController();
  readonly #done = new AbortController();

  constructor(
    { clock, ms, late = () => new Error(`not within ${ms} ms`) }: DeadlineOptions,
    signal?: AbortSignal,
  ) {
    this.signal = signal === undefined ? this.#over.signal : AbortSignal.any([signal, this.#over.signal]);
    clock.sleep(ms, this.#done.signal).then(
      () => this.#over.abort(late()),
      () => undefined,
    );
  }

  /** The time had passed before this was disposed; false where only the given signal aborted. */
  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  [Symbol.dispose](): void {
    this.#done.abort();
  }
}
