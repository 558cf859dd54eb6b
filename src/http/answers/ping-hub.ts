/** One timer for all open streams: a timer per call would cost the warm path more than it is worth. */
export class PingHub implements Disposable {
  readonly #streams = new Set<{ ping(): void }>();
  readonly #timer: NodeJS.Timeout;

  constructor(everyMs: number) {
    this.#timer = setInterval(() => {
      for (const stream of this.#streams) stream.ping();
    }, everyMs);
    this.#timer.unref();
  }

  add(stream: { ping(): void }): void {
    this.#streams.add(stream);
  }

  remove(stream: { ping(): void }): void {
    this.#streams.delete(stream);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
