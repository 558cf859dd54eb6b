/**
 * At most `size` pieces of work at once, the others wait in the order of asking. A wait that is aborted leaves the
 * queue and rejects with the signal's reason; work that has begun is its own owner's to abort.
 *
 * The wait is not `waitOrAbort`: that leaves the queue a moment after the abort, and a place that is handed over in
 * between would be lost.
 */
export class Semaphore {
  #free: number;
  readonly #queue = new Set<() => void>();

  constructor(size: number) {
    this.#free = size;
  }

  /** How many wait: the number that tells a full lane from a slow one. */
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

  /** Hands the place straight to the next in line, so that a newcomer cannot slip in between. */
  #release(): void {
    for (const next of this.#queue) {
      this.#queue.delete(next);
      next();
      return;
    }
    this.#free += 1;
  }
}
