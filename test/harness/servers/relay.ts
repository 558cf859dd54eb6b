import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** Stands between a client and its server on TCP, so that a test can cut, silence or falsify what they say. */
export class Relay implements AsyncDisposable {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #rewrite: (chunk: Buffer) => Buffer;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  constructor(
    target: { readonly host: string; readonly port: number },
    rewrite: (chunk: Buffer) => Buffer = (chunk) => chunk,
  ) {
    this.#target = target;
    this.#rewrite = rewrite;
  }

  get port(): number {
    return this.#port;
  }

  /** Always the same port, however often it is cut and opened. */
  async open(): Promise<void> {
    const server = createServer((socket) => {
      this.#note(socket);
      const upstream = this.#note(connect(this.#target));
      socket.on("data", (chunk) => upstream.write(chunk));
      upstream.on("data", (chunk) => socket.write(this.#rewrite(chunk)));
      socket.on("close", () => upstream.destroy());
      upstream.on("close", () => socket.destroy());
    });
    server.listen(this.#port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no TCP address");
    this.#port = address.port;
    this.#server = server;
  }

  /** Ends every connection and refuses new ones. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = new Promise((resolve) =>
      server === undefined ? resolve(undefined) : server.close(resolve),
    );
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** What is open stays open and nothing passes any more, as when a firewall forgets it. New connections pass. */
  silence(): void {
    for (const socket of this.#sockets)
      socket.removeAllListeners("data").removeAllListeners("close").resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cut();
  }

  #note(socket: Socket): Socket {
    this.#sockets.add(socket.on("error", () => undefined));
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}
