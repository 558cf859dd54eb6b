import type { Socket } from "node:net";

export interface PeerLinesOptions {
  /** Called for each whole line that is not empty. Its memory is not reused. */
  readonly onLine: (line: Buffer) => void;
  /** Called once for each line that is longer, as soon as that is known; the rest of the line is discarded. */
  readonly onTooLong: (start: Buffer, bytesMax: number) => void;
}

const NEWLINE = 10;
const START_BYTES = 4_096;

/**
 * Cuts what a peer sends into lines. Holds at most one unfinished line, and never more of it than its bound, which may be
 * changed between lines. Reading stops with `pause`: lines that have arrived by then wait.
 */
export class PeerLines {
  readonly #socket: Socket;
  readonly #options: PeerLinesOptions;
  #bytesMax: number;
  #parts: Buffer[] = [];
  #bytes = 0;
  #isDiscarding = false;
  #isPaused = false;
  #held: Buffer[] = [];

  constructor(socket: Socket, bytesMax: number, options: PeerLinesOptions) {
    this.#socket = socket;
    this.#bytesMax = bytesMax;
    this.#options = options;
    socket.on("data", (chunk: Buffer) => this.push(chunk));
  }

  set bytesMax(bytes: number) {
    this.#bytesMax = bytes;
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    for (let chunk = this.#held.shift(); chunk !== undefined; chunk = this.#held.shift()) {
      this.push(chunk);
      if (this.#isPaused) return;
    }
    this.#socket.resume();
  }

  push(chunk: Buffer): void {
    if (this.#isPaused) {
      this.#held.push(chunk);
      return;
    }
    for (let at = 0; at < chunk.length; ) {
      if (this.#isPaused) {
        this.#held.unshift(chunk.subarray(at));
        return;
      }
      const end = chunk.indexOf(NEWLINE, at);
      this.#take(chunk.subarray(at, end < 0 ? chunk.length : end), end >= 0);
      at = end < 0 ? chunk.length : end + 1;
    }
  }

  #take(part: Buffer, isEnd: boolean): void {
    if (!this.#isDiscarding && this.#bytes + part.length > this.#bytesMax) {
      this.#isDiscarding = true;
      this.#parts.push(part);
      const start = Buffer.concat(this.#parts.splice(0)).subarray(0, START_BYTES);
      this.#options.onTooLong(Buffer.from(start), this.#bytesMax);
    }
    if (!this.#isDiscarding && part.length > 0) this.#parts.push(part);
    this.#bytes += part.length;
    if (!isEnd) return;
    const parts = this.#parts.splice(0);
    const isWhole = !this.#isDiscarding && parts.length > 0;
    this.#bytes = 0;
    this.#isDiscarding = false;
    const [first = Buffer.alloc(0)] = parts;
    if (isWhole) this.#options.onLine(parts.length === 1 ? first : Buffer.concat(parts));
  }
}
