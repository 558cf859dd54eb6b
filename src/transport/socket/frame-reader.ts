import { type Announcement, parseAnnouncement } from "../codec.ts";

export interface FrameReaderOptions {
  /** Longest line that may come without an announcement, in bytes. */
  readonly lineBytesMax: number;
  /** A whole line without its newline, at most `lineBytesMax`; `bytes` is its length on the wire. */
  readonly onLine: (text: string, bytes: number) => void;
  /** A large frame is about to come. True makes room, false throws it away; a promise stops the reading until it settles. */
  readonly onAnnounced: (announcement: Announcement) => boolean | Promise<boolean>;
  /** The announced line, whole, with its newline. The buffer is handed over and has memory of its own. */
  readonly onFrame: (announcement: Announcement, line: Buffer<ArrayBuffer>) => void;
  /** Asks the owner to stop (true) or go on (false) feeding. */
  readonly onPause: (paused: boolean) => void;
  /** The other side broke the framing; nothing is read after it. */
  readonly onBroken: (reason: string) => void;
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
      if (this.#waiting) {
        if (at < chunk.length) this.#held.push(chunk.subarray(at));
        return;
      }
    }
  }

  #takeLine(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(NEWLINE, at);
    const length = (end < 0 ? chunk.length : end) - at;
    if (this.#restBytes + length > this.#options.lineBytesMax) {
      this.#broken = true;
      this.#options.onBroken(`a line of over ${this.#options.lineBytesMax} bytes came unannounced`);
      return chunk.length;
    }
    if (end < 0) {
      this.#rest.push(at === 0 ? chunk : chunk.subarray(at));
      this.#restBytes += length;
      return chunk.length;
    }
    const text = this.#restBytes === 0 ? chunk.toString("utf8", at, end) : this.#joined(chunk, at, end);
    if (text.length > 0) this.#onText(text, this.#restBytes + length);
    this.#restBytes = 0;
    return end + 1;
  }

  #joined(chunk: Buffer, at: number, end: number): string {
    const text = Buffer.concat([...this.#rest, chunk.subarray(at, end)]).toString("utf8");
    this.#rest = [];
    return text;
  }

  #onText(text: string, bytes: number): void {
    const announcement = parseAnnouncement(text);
    if (announcement === undefined) {
      this.#options.onLine(text, bytes + 1);
      return;
    }
    const room = this.#options.onAnnounced(announcement);
    if (typeof room === "boolean") {
      this.#expect(announcement, room);
      return;
    }
    this.#waiting = true;
    this.#options.onPause(true);
    room.then(
      (granted) => this.#continue(announcement, granted),
      () => this.#continue(announcement, false),
    );
  }

  #continue(announcement: Announcement, granted: boolean): void {
    this.#expect(announcement, granted);
    this.#waiting = false;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) this.push(chunk);
    if (!this.#waiting) this.#options.onPause(false);
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
