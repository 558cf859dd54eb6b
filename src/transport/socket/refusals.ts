export interface RefusalsOptions {
  readonly windowMs: number;
  /** Undefined: there may be any number. */
  readonly max?: number;
  /** The window has had its `max`; called once in it. */
  readonly onMany?: () => void;
  readonly onWindowEnd: (told: { readonly count: number; readonly why: string }) => void;
}

/** Counts what was refused, and tells it once per window: a plugin that tries for ever writes one line a second. */
export class Refusals {
  readonly #options: RefusalsOptions;
  #count = 0;
  #why = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** Until the window ends. */
  get isMany(): boolean {
    return this.#count >= (this.#options.max ?? Number.POSITIVE_INFINITY);
  }

  /** `why` of the last one is told. */
  add(why: string): void {
    this.#count += 1;
    this.#why = why;
    this.#timer ??= setTimeout(() => this.#end(), this.#options.windowMs);
    if (this.#count === this.#options.max) this.#options.onMany?.();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#count = 0;
  }

  #end(): void {
    const told = { count: this.#count, why: this.#why };
    this.stop();
    this.#options.onWindowEnd(told);
  }
}
