import type { RuntimeId } from "../../../domain/ids.ts";

export interface SideStartOptions {
  readonly id: RuntimeId;
  readonly slot: number;
  /** Must not reject. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/**
 * The start of one more runtime beside those that serve. It runs in the background, so that passes go on meanwhile. One
 * at a time.
 */
export class SideStart {
  readonly #onDone: () => void;
  #current:
    | {
        readonly id: RuntimeId;
        readonly slot: number;
        readonly abort: AbortController;
        readonly done: Promise<void>;
      }
    | undefined;

  constructor(onDone: () => void) {
    this.#onDone = onDone;
  }

  /** Of the runtime that is starting; nothing else may touch its row. */
  get id(): RuntimeId | undefined {
    return this.#current?.id;
  }

  get slot(): number | undefined {
    return this.#current?.slot;
  }

  begin({ id, slot, run }: SideStartOptions): void {
    const abort = new AbortController();
    const done = run(abort.signal).finally(() => {
      this.#current = undefined;
      this.#onDone();
    });
    this.#current = { id, slot, abort, done };
  }

  abandon(reason: Error): void {
    this.#current?.abort.abort(reason);
  }

  async settled(): Promise<void> {
    await this.#current?.done;
  }
}
