import type { Socket } from "node:net";

export interface PeerLinesOptions {
  /** Called for each whole line that is not empty. Its memory is not reused. */
  readonly onLine: (line: Buffer) => void;
  /** Called once for each line that is longer, as soon as that is known; the rest of the line is discarded. */
  readonly onTooLong: (start: Buffer, bytesMax: number) => void;
}

const NEWLINE = 10;
const CLOSING_BRACE = 125;
const START_BYTES = 4_096;
/** The longest unfinished line that is tried as a whole one. */
const TRIED_BYTES_MAX = 65_536;

/**
 * Cuts what a peer sends into lines. The SDK sends a message and the end of its line apart, and its kernel keeps the end
 * back until the first part is acknowledged, 40 ms later: so a JSON object counts as a line before its end is there. Holds at most one unfinished line, and never more of it than its bound, which may be
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
  #isStopped = false;
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

  /** Reads no more lines; whatever comes is dropped. */
  stop(): void {
    this.#isStopped = true;
    this.#held = [];
    this.#parts = [];
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
    if (this.#isStopped) return;
    if (this.#isPaused) {
      this.#held.push(chunk);
      return;
    }
    for (let at = 0; at < chunk.length && !this.#isStopped; ) {
      if (this.#isPaused) {
        this.#held.unshift(chunk.subarray(at));
        return;
      }
      const end = chunk.indexOf(NEWLINE, at);
      this.#take(chunk.subarray(at, end < 0 ? chunk.length : end), end >= 0);
      at = end < 0 ? chunk.length : end + 1;
    }
    if (chunk.at(-1) === CLOSING_BRACE && this.#bytes <= TRIED_BYTES_MAX) this.#tryRest();
  }

  #tryRest(): void {
    if (this.#isDiscarding || this.#isPaused || this.#isStopped || this.#parts.length === 0) return;
    const line = Buffer.concat(this.#parts);
    if (!isJson(line)) return;
    this.#parts = [];
    this.#bytes = 0;
    this.#options.onLine(line);
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

function isJson(line: Buffer): boolean {
  try {
    JSON.parse(line.toString("utf8"));
    return true;
  } catch {
    return false;
  }
}
