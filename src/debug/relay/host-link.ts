import { connect, type Socket } from "node:net";
import { basename } from "node:path";
import type { RunnerKey } from "../../transport/runner-key.ts";

export interface HostLinkOptions {
  /** The socket that a process of Berth has made for the runtime. */
  readonly path: string;
  readonly key: RunnerKey;
  /** Number of the next hello: none is accepted twice. */
  readonly nextHello: () => number;
  /** What the process sends: whole lines, with their newlines. */
  readonly onLines: (lines: Buffer) => void;
  /** It takes more again, after `send` has answered false. */
  readonly onDrain: () => void;
  /** Called once, when it was never up or is lost. */
  readonly onLost: () => void;
}

/** A longer line is announced, so that the process can make room before it reads it. */
const ANNOUNCED_BYTES = 262_144;
/** What may wait for a process that does not read. */
const WAITING_BYTES_MAX = 8 * 1_048_576;
const NEWLINE = Buffer.from("\n");

/**
 * The two connections to one process, as the runner in a container has them (`runtime-images/python/runner.py`): lines of
 * sessions on one, reports about them on the other.
 */
export class HostLink {
  readonly #options: HostLinkOptions;
  readonly #data: Socket;
  readonly #control: Socket;
  #rest: Buffer[] = [];
  #isLost = false;

  constructor(options: HostLinkOptions) {
    this.#options = options;
    this.#data = this.#dial("data", {});
    this.#control = this.#dial("control", { ready: true });
    this.#data.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#data.on("drain", () => options.onDrain());
    // Start and pings: the plugin runs already, and nobody pings what no worker supervises.
    this.#control.resume();
  }

  /** Sends a session's line, without its newline. False: wait for `onDrain`. */
  send(sessionId: string, line: Buffer): boolean {
    const announcement =
      line.length < ANNOUNCED_BYTES
        ? []
        : [
            Buffer.from(
              `${JSON.stringify({ berth: "frame", session_id: sessionId, bytes: line.length + 1 })}\n`,
            ),
          ];
    this.#data.write(Buffer.concat([...announcement, line, NEWLINE]));
    return this.#data.writableLength < WAITING_BYTES_MAX;
  }

  report(message: object): void {
    this.#control.write(`${JSON.stringify(message)}\n`);
  }

  pause(): void {
    this.#data.pause();
  }

  resume(): void {
    this.#data.resume();
  }

  /** Closes both connections when what was sent is written; nothing is called any more. */
  end(): void {
    this.#isLost = true;
    this.#data.end();
    this.#control.end();
    this.#data.resume();
  }

  /** Closes them at once, as lost. */
  destroy(): void {
    this.#data.destroy();
    this.#control.destroy();
    this.#lose();
  }

  #dial(hello: "data" | "control", more: object): Socket {
    const { path, key, nextHello } = this.#options;
    const socket = connect(path);
    socket.on("error", () => undefined);
    socket.once("close", () => this.#lose());
    socket.write(
      `${JSON.stringify({ ...more, ...key.prove(basename(path), { hello, count: nextHello() }) })}\n`,
    );
    return socket;
  }

  #lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#data.destroy();
    this.#control.destroy();
    this.#options.onLost();
  }

  #take(chunk: Buffer): void {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      this.#rest.push(chunk);
      return;
    }
    const lines = Buffer.concat([...this.#rest, chunk.subarray(0, end)]);
    this.#rest = end < chunk.length ? [chunk.subarray(end)] : [];
    this.#options.onLines(lines);
  }
}
