/**
 * Reads that never overlap. Each caller waits for a read that began after its call, so that it sees what it wrote
 * before; callers during a read share the next one.
 */
export class Refresh {
  readonly #read: () => Promise<void>;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** `read` may throw: the callers that wait for that read get the error, and the next read runs even so. */
  constructor(read: () => Promise<void>) {
    this.#read = read;
  }

  /** Settles as a read that begins after this call. */
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

  /** Resolves when no read is under way or due. Never rejects. */
  async settled(): Promise<void> {
    while (this.#next !== undefined) await this.#next.catch(() => undefined);
    await this.#running.catch(() => undefined);
  }
}
