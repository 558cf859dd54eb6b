import type { Socket } from "node:net";
import { Refusals } from "../refusals.ts";
import { type ControlMessage, parseControlMessage } from "./control-message.ts";

export interface ControlReaderOptions {
  readonly onMessage: (message: ControlMessage) => void;
  /** The connection cannot be read any further. */
  readonly onBroken: (reason: string) => void;
  /** At most once a second: how many messages were refused, and why the last one was. */
  readonly onRefused: (refused: { readonly count: number; readonly why: string }) => void;
  /** There were too many messages; the rest waits for the next second. */
  readonly onDelayed: (delayed: { readonly why: string }) => void;
}

const LINE_CHARS_MAX = 1024 * 1024;
/** A runner sends a handful. */
const MESSAGES_PER_SECOND_MAX = 1_000;
const SECOND_MS = 1_000;

/**
 * Reads the control connection line by line, within bounds on size and rate. It drops no message for being one too many,
 * because a session or a start may wait for it: it stops reading for the rest of the second, and the writer waits.
 */
export class ControlReader {
  readonly #options: ControlReaderOptions;
  readonly #refusals: Refusals;
  #rest = "";
  /** Lines that were read and not handled yet: those of one read at most. */
  #waiting: string[] = [];
  #resuming: NodeJS.Timeout | undefined;
  #since = performance.now();
  #count = 0;

  constructor(options: ControlReaderOptions) {
    this.#options = options;
    this.#refusals = new Refusals({ windowMs: SECOND_MS, onWindowEnd: options.onRefused });
  }

  read(socket: Socket): void {
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#push(socket, text));
    socket.once("close", () => {
      clearTimeout(this.#resuming);
      for (const line of this.#waiting.splice(0)) this.#take(line);
      this.#refusals.stop();
    });
  }

  #push(socket: Socket, text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    this.#waiting = this.#waiting.concat(lines);
    if (this.#rest.length > LINE_CHARS_MAX) {
      this.#rest = "";
      this.#options.onBroken("a control message over the size limit");
      return;
    }
    this.#takeWaiting(socket);
  }

  #takeWaiting(socket: Socket): void {
    const leftMs = this.#leftOfSecond();
    const taken = this.#waiting.splice(0, MESSAGES_PER_SECOND_MAX - this.#count);
    this.#count += taken.length;
    for (const line of taken) this.#take(line);
    if (this.#waiting.length === 0 || socket.destroyed) return;
    socket.pause();
    this.#options.onDelayed({ why: `more than ${MESSAGES_PER_SECOND_MAX} messages a second` });
    this.#resuming = setTimeout(() => {
      this.#takeWaiting(socket);
      if (this.#waiting.length === 0) socket.resume();
    }, leftMs);
  }

  /** Milliseconds left; starts a new second if the last one is over. */
  #leftOfSecond(): number {
    const now = performance.now();
    if (now - this.#since >= SECOND_MS) {
      this.#since = now;
      this.#count = 0;
    }
    return this.#since + SECOND_MS - now;
  }

  #take(line: string): void {
    const message = parseControlMessage(line);
    if (message === "refused") this.#refusals.add("a field out of its bounds");
    else if (message !== undefined) this.#options.onMessage(message);
  }
}
