/**
 * The time that one link has in each turn of the event loop. One turn can bring thousands of messages of a plugin, and
 * all callers and other plugins would wait until they are read.
 */
export class Turn {
  readonly #ms: number;
  #endsAt: number | undefined;

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** The first question in a turn starts its time. */
  isOver(): boolean {
    const now = performance.now();
    if (this.#endsAt === undefined) {
      this.#endsAt = now + this.#ms;
      setImmediate(() => {
        this.#endsAt = undefined;
      });
    }
    return now >= this.#endsAt;
  }
}
