import { chmod, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import type { RunnerKey } from "../runner-key.ts";
import { type Hello, parseHello } from "./control/control-message.ts";
import { Refusals } from "./refusals.ts";

export interface RunnerListenerOptions {
  readonly path: string;
  /** A connection without a partner after this time is closed. */
  readonly helloTimeoutMs: number;
  /** The window in which refusals are counted, bounded and reported once; by default a second. */
  readonly refusedWindowMs?: number;
  /** The key that a runner must prove; undefined for one that was started before runners had keys. */
  readonly key: RunnerKey | undefined;
  /** Both connections are open. `early` has the bytes after the hello on the data connection. */
  readonly onPair: (pair: Pair) => void;
  readonly onNotice: (notice: { readonly kind: string; readonly [field: string]: unknown }) => void;
}

export interface Pair {
  readonly data: Socket;
  readonly control: Socket;
  readonly ready: boolean;
  readonly early: Buffer;
}

interface PendingConnection {
  hello: Hello | undefined;
  early: Buffer;
  readonly timer: NodeJS.Timeout;
}

const HELLO_BYTES_MAX = 1024;
/** Most connections before there is a pair; one more replaces the oldest without a hello. */
const PENDING_MAX = 8;
/** After so many refusals the socket is closed for the rest of the window, because each costs this process time. */
const REFUSED_MAX = 32;

/**
 * Admits one pair of connections, then stops listening until it is opened again: while a runtime has its link, nothing
 * else in its container can connect. If the runtime has a key, only a runner that proves it is admitted.
 */
export class RunnerListener {
  readonly #options: RunnerListenerOptions;
  readonly #refusals: Refusals;
  #server: Server | undefined;
  /** The link needs a pair. */
  #wanted = false;
  #closed = false;
  #pending = new Map<Socket, PendingConnection>();
  /** The number of the last accepted hello of each connection. */
  readonly #counts = { data: -1, control: -1 };

  constructor(options: RunnerListenerOptions) {
    this.#options = options;
    this.#refusals = new Refusals({
      windowMs: options.refusedWindowMs ?? 1_000,
      max: REFUSED_MAX,
      onMany: () => this.#stopListening(),
      onWindowEnd: ({ count, why }) => {
        options.onNotice({ kind: "hello_refused", count, why });
        if (this.#wanted && this.#server === undefined) this.#reopen();
      },
    });
  }

  async open(): Promise<void> {
    this.#wanted = true;
    // The name belongs to this process alone; only an earlier one that was killed leaves a socket.
    await rm(this.#options.path, { force: true });
    if (this.#closed || this.#refusals.isMany) return;
    const server = createServer((socket) => this.#admit(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: this.#options.path, backlog: 4 }, resolve);
    });
    // This process may be out of file descriptors for a while; the runner dials again.
    server.on("error", (error) => this.#options.onNotice({ kind: "accept_failed", error: error.message }));
    // The runner has another user id.
    await chmod(this.#options.path, 0o666).catch((error: NodeJS.ErrnoException) => {
      // The runner was quicker: its pair has closed and removed the socket.
      if (error.code !== "ENOENT") throw error;
    });
  }

  /** It cannot be opened again. */
  close(): void {
    this.#closed = true;
    this.#wanted = false;
    this.#refusals.stop();
    this.#stopListening();
    this.#closePending();
  }

  #reopen(): void {
    this.open().catch((error: Error) => {
      this.#options.onNotice({ kind: "listen_failed", error: error.message });
    });
  }

  #stopListening(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  #admit(socket: Socket): void {
    if (this.#server === undefined) {
      socket.destroy();
      return;
    }
    if (this.#pending.size >= PENDING_MAX) this.#refuseOldest();
    const timer = setTimeout(
      () => this.#refuse(socket, "no pair of connections in time"),
      this.#options.helloTimeoutMs,
    );
    const pending: PendingConnection = { hello: undefined, early: Buffer.alloc(0), timer };
    this.#pending.set(socket, pending);
    socket.on("error", () => undefined);
    socket.once("close", () => {
      clearTimeout(timer);
      if (pending.hello === undefined) this.#refuse(socket, "closed without a hello");
      this.#pending.delete(socket);
    });
    const onData = (chunk: Buffer): void => {
      pending.early = Buffer.concat([pending.early, chunk]);
      const end = pending.early.indexOf(10);
      if (end < 0 && pending.early.length <= HELLO_BYTES_MAX) return;
      socket.off("data", onData);
      socket.pause();
      this.#readHello(socket, pending, end < 0 || end > HELLO_BYTES_MAX ? undefined : end);
    };
    socket.on("data", onData);
  }

  #readHello(socket: Socket, pending: PendingConnection, end: number | undefined): void {
    const hello = end === undefined ? undefined : parseHello(pending.early.toString("utf8", 0, end));
    const why = hello === undefined ? "not a hello" : this.#whyNot(hello);
    if (hello === undefined || end === undefined || why !== undefined) {
      this.#refuse(socket, why ?? "not a hello");
      return;
    }
    pending.hello = hello;
    pending.early = pending.early.subarray(end + 1);
    this.#pair();
  }

  #whyNot(hello: Hello): string | undefined {
    const { key, path } = this.#options;
    const earlier = this.#find(hello.hello);
    if (key === undefined) return earlier === undefined ? undefined : "a second hello of the same kind";
    const { count = -1, proof = "" } = hello;
    if (!key.proves(path, { hello: hello.hello, count, proof })) return "no proof of the key";
    if (count <= this.#counts[hello.hello]) return "a hello that was used before";
    this.#counts[hello.hello] = count;
    // The runner dialled again, so its earlier connection is useless.
    if (earlier !== undefined) this.#forget(earlier.socket);
    return undefined;
  }

  #pair(): void {
    const data = this.#find("data");
    const control = this.#find("control");
    if (data === undefined || control === undefined) return;
    this.#wanted = false;
    this.#stopListening();
    for (const { socket, timer } of [data, control]) {
      clearTimeout(timer);
      this.#pending.delete(socket);
    }
    this.#closePending();
    const ready = control.hello.hello === "control" && control.hello.ready;
    if (control.early.length > 0) control.socket.unshift(control.early);
    this.#options.onPair({ data: data.socket, control: control.socket, ready, early: data.early });
    this.#allowStart(control.socket);
  }

  /** The runner starts its plugin when the copy of the key is removed; the message makes it check at once. */
  #allowStart(control: Socket): void {
    const { key, onNotice } = this.#options;
    if (key === undefined) return;
    const start = () => control.writable && control.write('{"op":"start"}\n');
    key
      .retire()
      .then(start)
      .catch((error: Error) => onNotice({ kind: "key_not_removed", error: error.message }));
  }

  #refuse(socket: Socket, why: string): void {
    if (this.#forget(socket)) this.#refusals.add(why);
  }

  #refuseOldest(): void {
    const oldest = [...this.#pending].find(([, { hello }]) => hello === undefined);
    if (oldest !== undefined) this.#refuse(oldest[0], "too many connections");
  }

  #forget(socket: Socket): boolean {
    socket.destroy();
    return this.#pending.delete(socket);
  }

  #closePending(): void {
    for (const socket of [...this.#pending.keys()]) this.#forget(socket);
  }

  #find(
    role: Hello["hello"],
  ): (PendingConnection & { readonly socket: Socket; readonly hello: Hello }) | undefined {
    for (const [socket, { hello, early, timer }] of this.#pending) {
      if (hello?.hello === role) return { socket, hello, early, timer };
    }
    return undefined;
  }
}
