import type { Socket } from "node:net";
import { waitOrAbort } from "../../util/wait.ts";
import type { ControlMessage } from "./control/control-message.ts";
import { ControlReader } from "./control/control-reader.ts";
import { linkLost } from "./exit-fault.ts";
import { FrameReader, type FrameReaderOptions } from "./frames/frame-reader.ts";
import type { Pair } from "./runner-listener.ts";
import { Turn } from "./turn.ts";

const TURN_MS = 2;
/** While more is still to be read, further answers to the plugin wait. */
const WAITING_BYTES_MAX = 1024 * 1024;

export interface LivePairOptions
  extends Omit<FrameReaderOptions, "onPause" | "onBroken" | "onThrow" | "turn"> {
  readonly onControl: (message: ControlMessage) => void;
  /** At most once a second: control messages that were refused. */
  readonly onControlRefused: (refused: { readonly count: number; readonly why: string }) => void;
  /** At most once a second: control messages wait because there are too many. */
  readonly onControlDelayed: (delayed: { readonly why: string }) => void;
  /** Everything that the plugin sent has been read. */
  readonly onDataEnd: () => void;
  /** One connection was lost, and the other is closed now. Called once, after all control messages were delivered. */
  readonly onLost: (reason: string) => void;
  /** A callback threw; only this link ends. */
  readonly onThrow: (error: unknown) => void;
  readonly lingerMs: number;
}

/**
 * The two open connections of a link. If one ends, the other stays until it ends too, at most `lingerMs`, so that a last
 * report is not lost.
 */
export class LivePair {
  readonly #data: Socket;
  readonly #control: Socket;
  readonly #early: Buffer;
  readonly #options: LivePairOptions;
  readonly #reader: FrameReader;
  #holds = 0;
  /** Lines of this turn of the event loop, sent in one write. */
  #outgoing = "";
  #outgoingBytes = 0;
  /** Lines that wait until more has been read. */
  #waiters: ((isOpen: boolean) => void)[] = [];
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

  /** Starts reading. */
  start(): void {
    const data = this.#data;
    data.on("data", (chunk: Buffer) => this.#guard(() => this.#reader.push(chunk)));
    // A socket emits its end even while it is paused; the reader delivers its lines first.
    data.once("end", () => this.#reader.whenRead(() => this.#options.onDataEnd()));
    // The control reader handles waiting messages at its close, before the link is told that it is lost.
    this.#readControl();
    for (const socket of [data, this.#control])
      socket.once("close", () => this.#reader.whenRead(() => this.#onClose()));
    if (this.#early.length > 0) this.#guard(() => this.#reader.push(this.#early));
    if (this.#holds === 0) data.resume();
    this.#control.resume();
  }

  /** Bytes that the runner has not read yet. */
  get outgoingBytes(): number {
    return this.#data.writableLength + this.#outgoingBytes;
  }

  /** `bytes`: length in UTF-8. Lines are gathered, because a system call each would be most of the cost of a short request. */
  writeData(line: string, bytes: number): void {
    if (this.#outgoing === "") setImmediate(() => this.#flush());
    this.#outgoing += `${line}\n`;
    this.#outgoingBytes += bytes + 1;
  }

  /**
   * As `writeData`, but a line waits while much is still to be read. Undefined when it is written, otherwise a promise
   * that resolves then. It rejects with `link_lost` and with the signal's reason.
   */
  writeWhenRead(line: string, bytes: number, signal: AbortSignal): Promise<void> | undefined {
    if (this.outgoingBytes > WAITING_BYTES_MAX) return this.#writeLater(line, bytes, signal);
    this.writeData(line, bytes);
    return undefined;
  }

  writeControl(message: object): void {
    this.#control.write(`${JSON.stringify(message)}\n`);
  }

  /** Reading stops at the first hold and resumes after the last one. */
  hold(held: boolean): void {
    this.#holds += held ? 1 : -1;
    if (this.#holds > 0) this.#data.pause();
    else this.#data.resume();
  }

  destroy(): void {
    this.#end("closed by this side");
  }

  /** An exception in a socket's listener would end the process. */
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

  /** Of several lines that wait, each checks again, so that they are not written all at once. */
  async #writeLater(line: string, bytes: number, signal: AbortSignal): Promise<void> {
    do {
      const isOpen = await waitOrAbort(this.#hasRoom(), signal);
      if (!isOpen) throw linkLost("The plugin is not connected.");
    } while (this.outgoingBytes > WAITING_BYTES_MAX);
    this.writeData(line, bytes);
  }

  /** Resolves with true when the runner has read enough, with false when the connection is lost. */
  #hasRoom(): Promise<boolean> {
    if (this.#lost || this.#data.destroyed) return Promise.resolve(false);
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    if (this.outgoingBytes > WAITING_BYTES_MAX && !this.#data.destroyed) return;
    for (const resolve of this.#waiters.splice(0)) resolve(!this.#data.destroyed);
  }

  #flush(): void {
    const lines = this.#outgoing;
    this.#outgoing = "";
    this.#outgoingBytes = 0;
    if (this.#data.writable) this.#data.write(lines, () => this.#wake());
  }

  #onClose(): void {
    if (this.#data.destroyed) this.#wake();
    if (this.#data.destroyed && this.#control.destroyed) this.#end("closed by the runner");
    else this.#lingering ??= setTimeout(() => this.#end("closed by the runner"), this.#options.lingerMs);
  }

  #end(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    clearTimeout(this.#lingering);
    this.#data.destroy();
    this.#control.destroy();
    this.#wake();
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
