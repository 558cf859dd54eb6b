import type { Clock } from "./clock.ts";

export interface DeadlineOptions {
  readonly clock: Clock;
  readonly ms: number;
  /** The reason of the abort; by default `not within <ms> ms`. */
  readonly late?: () => Error;
}

/**
 * A signal that aborts once `ms` have passed on the clock, or with the reason of a given signal that aborts first. Use
 * Node's `AbortSignal.timeout` where neither clock nor reason matters and the timer may outlive the work. This one has
 * a timer until it is disposed: `using deadline = new Deadline(...)`.
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

  /** Whether the time had passed before this was disposed; false where only the given signal aborted. */
  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  [Symbol.dispose](): void {
    this.#done.abort();
  }
}
