import type { ServerResponse } from "node:http";

/**
 * A streamed answer with status 200, written to Node's own response: what is added in one turn of the event loop leaves
 * in one write, and no header before it. Adding after the end does nothing.
 */
export class GatheredAnswer {
  readonly #response: ServerResponse;
  readonly #headers: Readonly<Record<string, string>>;
  #pending = "";
  #isFlushing = false;
  #hasEnded = false;

  constructor(response: ServerResponse, headers: Readonly<Record<string, string>>) {
    this.#response = response;
    this.#headers = headers;
  }

  /** Bytes that the caller has not taken yet. */
  get bufferedBytes(): number {
    return this.#response.writableLength + this.#pending.length;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  add(text: string): void {
    if (this.#hasEnded) return;
    this.#pending += text;
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => this.#flush());
  }

  end(last: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const text = this.#pending + last;
    this.#pending = "";
    // a whole answer with its length is one write; as chunks it would be several
    this.#writeHead({ "content-length": Buffer.byteLength(text) });
    this.#response.end(text);
  }

  /** Nothing more comes by this way: the response is the caller's own to answer. */
  abandon(): void {
    this.#hasEnded = true;
  }

  #flush(): void {
    this.#isFlushing = false;
    if (this.#hasEnded || this.#pending === "") return;
    this.#writeHead();
    this.#response.write(this.#pending);
    this.#pending = "";
  }

  #writeHead(more?: { "content-length": number }): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, { ...this.#headers, ...more });
  }
}
