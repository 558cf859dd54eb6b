export interface RefusalsOptions {
  readonly windowMs: number;
  /** Undefined: no limit. */
  readonly max?: number;
  /** The window has reached `max`; called once in each. */
  readonly onMany?: () => void;
  readonly onWindowEnd: (refused: { readonly count: number; readonly why: string }) => void;
}

/** Counts refusals and reports them once per window, so that a plugin that keeps trying causes one line a second. */
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

  /** The report has the reason of the last one. */
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
    const refused = { count: this.#count, why: this.#why };
    this.stop();
    this.#options.onWindowEnd(refused);
  }
}
