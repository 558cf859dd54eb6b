import type { Socket } from "node:net";
import type { ControlMessage } from "./control/control-message.ts";
import { ControlReader } from "./control/control-reader.ts";
import { FrameReader, type FrameReaderOptions } from "./frames/frame-reader.ts";
import type { Pair } from "./runner-listener.ts";
import { Turn } from "./turn.ts";

const TURN_MS = 2;

export interface LivePairOptions
  extends Omit<FrameReaderOptions, "onPause" | "onBroken" | "onThrow" | "turn"> {
  readonly onControl: (message: ControlMessage) => void;
  /** At most once a second: what the runner said on control and was not taken. */
  readonly onControlRefused: (refused: { readonly count: number; readonly why: string }) => void;
  /** At most once a second: what the runner said on control waits, as there is too much of it. */
  readonly onControlDelayed: (delayed: { readonly why: string }) => void;
  /** All that the plugin said has been read. */
  readonly onDataEnd: () => void;
  /** One of the connections is gone, and so now is the other. Called once, never before what came on control is told. */
  readonly onLost: (reason: string) => void;
  /** Something above threw: the link ends for it, and only the link. */
  readonly onThrow: (error: unknown) => void;
  readonly lingerMs: number;
}

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
      turn: new Turn(TURN_MS),
      onPause: (paused) => this.hold(paused),
      onBroken: (reason) => this.#end(reason),
      onThrow: (error) => this.#fail(error),
    });
  }

  /** Begins to read. */
  start(): void {
    const data = this.#data;
    data.on("data", (chunk: Buffer) => this.#guard(() => this.#reader.push(chunk)));
    // A socket tells its end also while it is paused, and what the reader has still to say comes first.
    data.once("end", () => this.#reader.whenRead(() => this.#options.onDataEnd()));
    // It takes at its close what still waits, before the link is told of that.
    this.#readControl();
    for (const socket of [data, this.#control])
      socket.once("close", () => this.#reader.whenRead(() => this.#onClose()));
    if (this.#early.length > 0) this.#guard(() => this.#reader.push(this.#early));
    if (this.#holds === 0) data.resume();
    this.#control.resume();
  }

  /** Bytes that the runner has not taken yet. */
  get outgoingBytes(): number {
    return this.#data.writableLength + this.#outgoingBytes;
  }

  /** `bytes`: in UTF-8. A system call each would be the larger part of what a short request costs, here and in the runner. */
  writeData(line: string, bytes: number): void {
    if (this.#outgoing === "") setImmediate(() => this.#flush());
    this.#outgoing += `${line}\n`;
    this.#outgoingBytes += bytes + 1;
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

  /** A throw out of a socket's listener would end the process. */
  #guard(read: () => void): void {
    try {
      read();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#options.onThrow(error);
    this.#end("Berth failed to handle what it received");
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
    const reader = new ControlReader({
      onMessage: (message) => this.#guard(() => this.#options.onControl(message)),
      onBroken: (reason) => this.#end(reason),
      onRefused: (refused) => this.#options.onControlRefused(refused),
      onDelayed: (delayed) => this.#options.onControlDelayed(delayed),
    });
    reader.read(this.#control);
  }
}
