/**
 * The time that one link has in each turn of the event loop. A plugin can send thousands of messages in the pieces that
 * arrive in one turn, and all callers and other plugins wait for the end of it.
 */
export class Turn {
  readonly #ms: number;
  #endsAt: number | undefined;

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Asked for the first time in a turn, it begins. */
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
