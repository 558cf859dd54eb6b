/**
 * A lifetime as an object: one AbortController and a list of closers, run last in, first out. Code that starts
 * something adds its closer. Disposing the scope aborts the signal first, then closes everything, and reports all
 * failures together without letting one hide another.
 */
export class Scope implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #closers: (() => void | Promise<void>)[] = [];
  #closing: Promise<void> | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  add(closer: () => void | Promise<void>): void {
    this.#closers.push(closer);
  }

  /** Disposes the given object with the scope, and returns it. */
  use<T extends AsyncDisposable>(started: T): T {
    this.add(() => started[Symbol.asyncDispose]() as Promise<void>);
    return started;
  }

  /** Runs every closer once; a second call waits for the first. */
  close(reason: unknown = new Error("closed")): Promise<void> {
    this.#closing ??= this.#run(reason);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(reason: unknown): Promise<void> {
    this.#controller.abort(reason);
    const failures: unknown[] = [];
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      try {
        await closer();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "not everything closed cleanly");
  }
}
