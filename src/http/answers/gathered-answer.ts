import type { ServerResponse } from "node:http";

/**
 * A streamed answer with status 200, written to Node's own response. What is added in one turn of the event loop is
 * sent in one write, together with the headers. Adding after the end does nothing.
 */
export class GatheredAnswer {
  readonly #response: ServerResponse;
  readonly #headers: Readonly<Record<string, string>>;
  #pending = "";
  #pendingBytes = 0;
  #isFlushing = false;
  #hasEnded = false;

  constructor(response: ServerResponse, headers: Readonly<Record<string, string>>) {
    this.#response = response;
    this.#headers = headers;
  }

  /** Bytes that the caller has not read yet. */
  get bufferedBytes(): number {
    return this.#response.writableLength + this.#pendingBytes;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  add(text: string): void {
    if (this.#hasEnded) return;
    this.#pending += text;
    this.#pendingBytes += Buffer.byteLength(text);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => this.#flush());
  }

  /** Adds three parts at once. The bytes in the middle are sent without a copy and must not change afterwards. */
  addBytes(before: string, bytes: Uint8Array, after: string): void {
    if (this.#hasEnded) return;
    const first = this.#pending + before;
    this.#pending = "";
    this.#pendingBytes = 0;
    this.#writeHead();
    this.#response.cork();
    this.#response.write(first);
    this.#response.write(bytes);
    this.#response.uncork();
    this.add(after);
  }

  end(last: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const text = this.#pending + last;
    this.#pending = "";
    this.#pendingBytes = 0;
    // a whole answer with its length is one write; in chunks it would be several
    this.#writeHead({ "content-length": Buffer.byteLength(text) });
    this.#response.end(text);
  }

  /** Ends this writer without an answer: the caller of this method answers on the response itself. */
  abandon(): void {
    this.#hasEnded = true;
  }

  #flush(): void {
    this.#isFlushing = false;
    if (this.#hasEnded || this.#pending === "") return;
    this.#writeHead();
    this.#response.write(this.#pending);
    this.#pending = "";
    this.#pendingBytes = 0;
  }

  #writeHead(more?: { "content-length": number }): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, { ...this.#headers, ...more });
  }
}
