import { type Announcement, parseAnnouncement } from "../../codec.ts";
import type { Turn } from "../turn.ts";

export interface FrameReaderOptions {
  /** Longest line that may come without an announcement, in bytes. */
  readonly lineBytesMax: number;
  /** A whole line without its newline, at most `lineBytesMax`. Its memory is the reader's: it is not to be kept. */
  readonly onLine: (line: Buffer) => void;
  /** A large frame is about to come. True makes room, false throws it away; a promise stops the reading until it settles. */
  readonly onAnnounced: (announcement: Announcement) => boolean | Promise<boolean>;
  /** The announced line, whole, with its newline. The buffer is handed over and has memory of its own. */
  readonly onFrame: (announcement: Announcement, line: Buffer<ArrayBuffer>) => void;
  /** Asks the owner to stop (true) or go on (false) feeding. */
  readonly onPause: (paused: boolean) => void;
  /** Told what any of these threw after a wait; while there is none, it is thrown to whoever pushes. */
  readonly onThrow: (error: unknown) => void;
  /** The other side broke the framing; nothing is read after it. */
  readonly onBroken: (reason: string) => void;
  /** When it is over the reading stops, and goes on in the next one: no link holds the event loop with what it says. */
  readonly turn: Pick<Turn, "isOver">;
}

const NEWLINE = 10;

/**
 * Cuts the bytes of a data connection into lines, whatever the pieces they arrive in. Holds at most one unfinished
 * line: `lineBytesMax`, or the frame for which its owner made room.
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

  /** Calls when all that was pushed has been read: at once where nothing waits. The source may have ended long before. */
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
    // what came meanwhile may have asked for another pause: each ends by itself
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
