/** A call back that is being served. */
interface OpenHostCall {
  readonly type: string;
  /** Who serves it. */
  readonly server: string;
}

/** The calls back of one session that are open. */
export class OpenHostCalls {
  readonly #open = new Map<OpenHostCall, number>();
  readonly #onChange: () => void;

  /** `onChange` is called after each that begins and each that ends. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#open.size;
  }

  /** The returned function ends it, once. */
  begin(call: OpenHostCall): () => void {
    this.#open.set(call, performance.now());
    this.#onChange();
    return () => {
      if (this.#open.delete(call)) this.#onChange();
    };
  }

  /** What the session waits for, the longest first; empty where nothing is open. */
  describe(): readonly string[] {
    const now = performance.now();
    return [...this.#open].map(
      ([{ type, server }, startedAt]) => `${type} from ${server}, for ${Math.round(now - startedAt)} ms`,
    );
  }
}
