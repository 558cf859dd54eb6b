import { type Announcement, parseAnnouncement } from "../../codec.ts";
import type { Turn } from "../turn.ts";

export interface FrameReaderOptions {
  /** Longest line without an announcement, in bytes. */
  readonly lineBytesMax: number;
  /** A whole line without its newline, at most `lineBytesMax`. The reader reuses its memory: do not keep it. */
  readonly onLine: (line: Buffer) => void;
  /** A large frame follows. True reads it, false discards it; a promise stops reading until it settles. */
  readonly onAnnounced: (announcement: Announcement) => boolean | Promise<boolean>;
  /** The announced line, whole, with its newline. The receiver owns the buffer. */
  readonly onFrame: (announcement: Announcement, line: Buffer<ArrayBuffer>) => void;
  /** Asks the owner to stop (true) or resume (false) pushing. */
  readonly onPause: (paused: boolean) => void;
  /** Gets what a callback threw after a wait; without a wait, `push` throws it. */
  readonly onThrow: (error: unknown) => void;
  /** The other side broke the framing; nothing more is read. */
  readonly onBroken: (reason: string) => void;
  /** When the turn is over, reading continues in the next one, so that no link blocks the event loop. */
  readonly turn: Pick<Turn, "isOver">;
}

const NEWLINE = 10;

/**
 * Splits the bytes of a data connection into lines. Holds at most one unfinished line: up to `lineBytesMax`, or a frame
 * for which its owner made room.
 */
export class FrameReader {
  readonly #options: FrameReaderOptions;
  #rest: Buffer[] = [];
  #restBytes = 0;
  #large: { announcement: Announcement; line: Buffer<ArrayBuffer> | undefined; filled: number } | undefined;
  #held: Buffer[] = [];
  #waiting = false;
  #broken = false;
  #onRead: (() => void)[] = [];

  constructor(options: FrameReaderOptions) {
    this.#options = options;
  }

  push(chunk: Buffer): void {
    if (this.#waiting) {
      this.#held.push(chunk);
      return;
    }
    let at = 0;
    while (at < chunk.length && !this.#broken) {
      at = this.#large === undefined ? this.#takeLine(chunk, at) : this.#takeLarge(chunk, at);
      if (!this.#waiting && this.#options.turn.isOver()) this.#waitForNextTurn();
      if (this.#waiting) {
        if (at < chunk.length) this.#held.push(chunk.subarray(at));
        return;
      }
    }
  }

  /** Calls back when everything pushed so far is read, at once if nothing waits; the source may have ended before. */
  whenRead(then: () => void): void {
    if (this.#waiting) this.#onRead.push(then);
    else then();
  }

  #takeLine(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(NEWLINE, at);
    const length = (end < 0 ? chunk.length : end) - at;
    if (this.#restBytes + length > this.#options.lineBytesMax) {
      this.#broken = true;
      this.#options.onBroken(`an unannounced line of more than ${this.#options.lineBytesMax} bytes`);
      return chunk.length;
    }
    if (end < 0) {
      this.#rest.push(at === 0 ? chunk : chunk.subarray(at));
      this.#restBytes += length;
      return chunk.length;
    }
    const line = chunk.subarray(at, end);
    if (this.#restBytes + length > 0) this.#onBytes(this.#restBytes === 0 ? line : this.#joined(line));
    this.#restBytes = 0;
    return end + 1;
  }

  #joined(last: Buffer): Buffer {
    const line = Buffer.concat([...this.#rest, last]);
    this.#rest = [];
    return line;
  }

  #onBytes(line: Buffer): void {
    const announcement = parseAnnouncement(line);
    if (announcement === undefined) {
      this.#options.onLine(line);
      return;
    }
    const room = this.#options.onAnnounced(announcement);
    if (typeof room === "boolean") {
      this.#expect(announcement, room);
      return;
    }
    this.#wait();
    const goOn = (granted: boolean) => {
      this.#expect(announcement, granted);
      this.#continue();
    };
    room.then(goOn, () => goOn(false)).catch(this.#options.onThrow);
  }

  #waitForNextTurn(): void {
    this.#wait();
    setImmediate(() => {
      try {
        this.#continue();
      } catch (error) {
        this.#options.onThrow(error);
      }
    });
  }

  #wait(): void {
    this.#waiting = true;
    this.#options.onPause(true);
  }

  #continue(): void {
    this.#waiting = false;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) this.push(chunk);
    // Bytes that came meanwhile may have asked for another pause, which ends by itself.
    this.#options.onPause(false);
    if (this.#waiting) return;
    for (const then of this.#onRead.splice(0)) then();
  }

  #expect(announcement: Announcement, granted: boolean): void {
    const line = granted ? Buffer.allocUnsafeSlow(announcement.bytes) : undefined;
    this.#large = { announcement, line, filled: 0 };
  }

  #takeLarge(chunk: Buffer, at: number): number {
    const large = this.#large;
    if (large === undefined) return at;
    const { announcement, line } = large;
    const length = Math.min(announcement.bytes - large.filled, chunk.length - at);
    line?.set(chunk.subarray(at, at + length), large.filled);
    large.filled += length;
    if (large.filled === announcement.bytes) {
      this.#large = undefined;
      if (line !== undefined) this.#options.onFrame(announcement, line);
    }
    return at + length;
  }
}
