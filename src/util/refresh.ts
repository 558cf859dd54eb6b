/**
 * Reads that never overlap. Whoever asks waits for a read that began after they asked, so that it sees what they wrote
 * before; all who ask while one is under way share the next one.
 */
export class Refresh {
  readonly #read: () => Promise<void>;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** `read` may throw: those who wait for that read get the error, and the next one runs all the same. */
  constructor(read: () => Promise<void>) {
    this.#read = read;
  }

  /** Resolves, or rejects, as a read does that begins after this call. */
  run(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        this.#running = this.#read();
        return this.#running;
      });
    return this.#next;
  }

  /** Resolves when no read is under way or asked for. Never rejects. */
  async settled(): Promise<void> {
    while (this.#next !== undefined) await this.#next.catch(() => undefined);
    await this.#running.catch(() => undefined);
  }
}
