export interface IdleClockOptions {
  readonly ms: number;
  /** The reason of the abort. */
  readonly late: () => Error;
}

/**
 * A signal that aborts once `ms` have passed without a call of `heard`, or with the reason of a given signal where that
 * aborts first. `heard` is cheap enough for each chunk of a stream. Unlike a `Deadline` it uses Node's timer, which
 * can be restarted without a new one. It holds that timer until it is disposed.
 */
export class IdleClock implements Disposable {
  readonly signal: AbortSignal;
  readonly #silent = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor({ ms, late }: IdleClockOptions, signal?: AbortSignal) {
    this.signal = signal === undefined ? this.#silent.signal : AbortSignal.any([signal, this.#silent.signal]);
    this.#timer = setTimeout(() => this.#silent.abort(late()), ms);
  }

  /** Restarts the time; has no effect once it is over. */
  heard(): void {
    if (!this.#silent.signal.aborted) this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
