import type { Lanes } from "../lanes.ts";

/** A Pool's turn to replace an outdated Container: all Pools share one lane, so that one at a time is replaced. */
export class RolloutTurn {
  readonly #lane: Lanes;
  readonly #onGranted: () => void;
  #state: "none" | "waiting" | "granted" | "closed" = "none";
  #finish: (() => void) | undefined;

  constructor(lane: Lanes, onGranted: () => void) {
    this.#lane = lane;
    this.#onGranted = onGranted;
  }

  /** True while it is this Pool's turn; asks for one otherwise. */
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
  }

  #ask(): void {
    this.#state = "waiting";
    void this.#lane.run(async () => {
      if (this.#state !== "waiting") return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#finish = resolve;
      this.#state = "granted";
      this.#onGranted();
      await promise;
    });
  }
}
