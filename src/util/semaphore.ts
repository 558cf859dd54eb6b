/**
 * At most `size` pieces of work at the same time; others wait, first come, first served. An aborted wait leaves the
 * queue and rejects with the signal's reason; work that has begun is aborted by its own owner.
 *
 * It does not use `waitOrAbort`, which leaves the queue a moment after the abort: a place handed over in between would
 * be lost.
 */
export class Semaphore {
  #free: number;
  readonly #queue = new Set<() => void>();

  constructor(size: number) {
    this.#free = size;
  }

  /** Number of waiters, which tells a full lane from a slow one. */
  get waiting(): number {
    return this.#queue.size;
  }

  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#acquire(signal);
    try {
      return await work();
    } finally {
      this.#release();
    }
  }

  async #acquire(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onTurn = () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#queue.delete(onTurn);
        reject(signal.reason);
      };
      this.#queue.add(onTurn);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Passes the place directly to the next waiter, so that no newcomer can take it in between. */
  #release(): void {
    for (const next of this.#queue) {
      this.#queue.delete(next);
      next();
      return;
    }
    this.#free += 1;
  }
}
