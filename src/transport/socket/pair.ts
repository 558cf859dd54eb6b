import type { Socket } from "node:net";
import { type ControlMessage, parseControlMessage } from "./control-message.ts";
import type { Pair } from "./door.ts";
import { FrameReader, type FrameReaderOptions } from "./frame-reader.ts";

export interface LivePairOptions extends Omit<FrameReaderOptions, "onPause" | "onBroken"> {
  readonly onControl: (message: ControlMessage) => void;
  /** All that the plugin said has been read. */
  readonly onDataEnd: () => void;
  /** One of the connections is gone, and so now is the other. Called once, never before what came on control is told. */
  readonly onLost: (reason: string) => void;
  readonly lingerMs: number;
}

const CONTROL_BYTES_MAX = 1024 * 1024;

/**
 * The two connections of a link while they stand. If one ends, the other is given until its
 * own end, so that a last report is not lost, and `lingerMs` at most.
 */
export class LivePair {
  readonly #data: Socket;
  readonly #control: Socket;
  readonly #early: Buffer;
  readonly #options: LivePairOptions;
  readonly #reader: FrameReader;
  #holds = 0;
  /** Lines of this turn of the event loop: they leave in one write. */
  #outgoing = "";
  #outgoingBytes = 0;
  #lost = false;
  #lingering: NodeJS.Timeout | undefined;

  constructor({ data, control, early }: Pair, options: LivePairOptions) {
    this.#data = data;
    this.#control = control;
    this.#early = early;
    this.#options = options;
    this.#reader = new FrameReader({
      ...options,
      onPause: (paused) => this.hold(paused),
      onBroken: (reason) => this.#end(reason),
    });
  }

  /** Begins to read. */
  start(): void {
    const data = this.#data;
    data.on("data", (chunk: Buffer) => this.#reader.push(chunk));
    data.once("end", () => this.#options.onDataEnd());
    for (const socket of [data, this.#control]) socket.once("close", () => this.#onClose());
    this.#readControl();
    if (this.#early.length > 0) this.#reader.push(this.#early);
    if (this.#holds === 0) data.resume();
    this.#control.resume();
  }

  /** Bytes that the runner has not taken yet. */
  get outgoingBytes(): number {
    return this.#data.writableLength + this.#outgoingBytes;
  }

  /** A system call each would be the larger part of what a short request costs here, and in the runner again. */
  writeData(line: string): void {
    if (this.#outgoing === "") setImmediate(() => this.#flush());
    this.#outgoing += `${line}\n`;
    this.#outgoingBytes += line.length + 1;
  }

  writeControl(message: object): void {
    this.#control.write(`${JSON.stringify(message)}\n`);
  }

  /** Reading stops at the first hold and goes on when the last one is gone. */
  hold(held: boolean): void {
    this.#holds += held ? 1 : -1;
    if (this.#holds > 0) this.#data.pause();
    else this.#data.resume();
  }

  destroy(): void {
    this.#end("closed by this side");
  }

  #flush(): void {
    const lines = this.#outgoing;
    this.#outgoing = "";
    this.#outgoingBytes = 0;
    if (this.#data.writable) this.#data.write(lines);
  }

  #onClose(): void {
    if (this.#data.destroyed && this.#control.destroyed) this.#end("closed by the runner");
    else this.#lingering ??= setTimeout(() => this.#end("closed by the runner"), this.#options.lingerMs);
  }

  #end(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    clearTimeout(this.#lingering);
    this.#data.destroy();
    this.#control.destroy();
    this.#options.onLost(reason);
  }

  #readControl(): void {
    let rest = "";
    this.#control.setEncoding("utf8");
    this.#control.on("data", (text: string) => {
      rest += text;
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const message = parseControlMessage(line);
        if (message !== undefined) this.#options.onControl(message);
      }
      if (rest.length > CONTROL_BYTES_MAX) this.#end("a control message too long to be one");
    });
  }
}
