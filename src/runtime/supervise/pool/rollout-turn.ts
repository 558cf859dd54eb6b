import type { Semaphore } from "../../../util/semaphore.ts";

/** A pool's turn to replace an outdated container: all pools of this process share one permit. */
export class RolloutTurn {
  readonly #lane: Semaphore;
  readonly #closed = new AbortController();
  readonly #onGranted: () => void;
  #state: "none" | "waiting" | "granted" | "closed" = "none";
  #finish: (() => void) | undefined;

  constructor(lane: Semaphore, onGranted: () => void) {
    this.#lane = lane;
    this.#onGranted = onGranted;
  }

  /** True while it is this pool's turn; otherwise asks for it, and `onGranted` is called when it comes. */
  take(): boolean {
    if (this.#state === "none") this.#ask();
    return this.#state === "granted";
  }

  done(): void {
    if (this.#state === "granted") this.#state = "none";
    this.#finish?.();
    this.#finish = undefined;
  }

  close(): void {
    this.done();
    this.#state = "closed";
    this.#closed.abort();
  }

  #ask(): void {
    this.#state = "waiting";
    const turn = async () => {
      if (this.#state !== "waiting") return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#finish = resolve;
      this.#state = "granted";
      this.#onGranted();
      await promise;
    };
    // Closing aborts the wait.
    this.#lane.run(turn, this.#closed.signal).catch(() => undefined);
  }
}
