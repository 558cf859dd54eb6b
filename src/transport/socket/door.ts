import { chmod, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { type Hello, parseHello } from "./control-message.ts";

export interface DoorOptions {
  readonly path: string;
  /** A connection that has not said its hello by then is shut. */
  readonly helloTimeoutMs: number;
  /** Both connections stand. `early` holds what came on data behind its hello. */
  readonly onPair: (pair: Pair) => void;
}

export interface Pair {
  readonly data: Socket;
  readonly control: Socket;
  readonly ready: boolean;
  readonly early: Buffer;
}

const HELLO_BYTES_MAX = 4096;

/**
 * Admits one pair of connections, then stops listening until it is opened again: while a Runtime has its link,
 * nothing else in its Container can even connect.
 */
export class Door {
  readonly #options: DoorOptions;
  #server: Server | undefined;
  #closed = false;
  #guests = new Map<Socket, { hello: Hello | undefined; early: Buffer }>();

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    // Only a process that was killed leaves one behind, and the name is this process's own.
    await rm(this.#options.path, { force: true });
    if (this.#closed) return;
    const server = createServer((socket) => this.#admit(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: this.#options.path, backlog: 4 }, resolve);
    });
    // The runner has a user id of its own.
    await chmod(this.#options.path, 0o666).catch((error: NodeJS.ErrnoException) => {
      // The runner was quicker, and the pair it made took the socket away.
      if (error.code !== "ENOENT") throw error;
    });
  }

  /** For good. */
  close(): void {
    this.#closed = true;
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#guests.keys()) socket.destroy();
    this.#guests.clear();
  }

  #admit(socket: Socket): void {
    if (this.#server === undefined || this.#guests.size >= 2) {
      socket.destroy();
      return;
    }
    const guest = { hello: undefined as Hello | undefined, early: Buffer.alloc(0) };
    this.#guests.set(socket, guest);
    const timer = setTimeout(() => socket.destroy(), this.#options.helloTimeoutMs);
    socket.on("error", () => undefined);
    socket.once("close", () => {
      clearTimeout(timer);
      this.#guests.delete(socket);
    });
    const onData = (chunk: Buffer): void => {
      guest.early = Buffer.concat([guest.early, chunk]);
      const end = guest.early.indexOf(10);
      if (end < 0 && guest.early.length <= HELLO_BYTES_MAX) return;
      const hello = end < 0 ? undefined : parseHello(guest.early.toString("utf8", 0, end));
      if (hello === undefined || this.#find(hello.hello) !== undefined) {
        socket.destroy();
        return;
      }
      clearTimeout(timer);
      socket.off("data", onData);
      socket.pause();
      guest.hello = hello;
      guest.early = guest.early.subarray(end + 1);
      this.#pair();
    };
    socket.on("data", onData);
  }

  #pair(): void {
    const data = this.#find("data");
    const control = this.#find("control");
    if (data === undefined || control === undefined) return;
    this.#guests = new Map();
    this.#server?.close();
    this.#server = undefined;
    const ready = control.hello.hello === "control" && control.hello.ready;
    if (control.early.length > 0) control.socket.unshift(control.early);
    this.#options.onPair({ data: data.socket, control: control.socket, ready, early: data.early });
  }

  #find(role: Hello["hello"]): { socket: Socket; hello: Hello; early: Buffer } | undefined {
    for (const [socket, { hello, early }] of this.#guests) {
      if (hello?.hello === role) return { socket, hello, early };
    }
    return undefined;
  }
}
