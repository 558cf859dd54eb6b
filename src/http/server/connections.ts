/**
 * Every open connection, and what is under way on it. One sweep looks at all of them, so that a warm request costs no
 * timer of its own: bodies that trickle, answers that nobody reads.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Fault } from "../../domain/fault.ts";
import { type Refusals, tooSlow } from "./refusals.ts";

export interface ConnectionSettings {
  /** Where there are more, the one that has been without a request for longest is closed, or the new one refused. */
  readonly connectionsMax: number;
  /** The last of them is answered with `Connection: close`. */
  readonly requestsPerConnectionMax: number;
  /** Requests under way on one connection. */
  readonly pipelinedMax: number;
  /** In each `bodyWindowMs` a body brings `bodyWindowBytesMin`, or it is over. */
  readonly bodyWindowMs: number;
  readonly bodyWindowBytesMin: number;
  /** What is left of an ended answer is read within that time. */
  readonly flushTimeoutMs: number;
  /** How often the connections are looked at. */
  readonly checkMs: number;
}

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  bodyMark?: { readonly at: number; readonly bytes: number };
  endedAt?: number;
}

interface Connection {
  readonly socket: Socket;
  readonly exchanges: Exchange[];
  requests: number;
  /** What had been read when nothing was under way any more: more than that is the beginning of a request. */
  bytesWhenIdle: number;
  isRefused: boolean;
}

export class Connections implements Disposable {
  readonly #settings: ConnectionSettings;
  readonly #refusals: Refusals;
  readonly #all = new Map<Socket, Connection>();
  /** Without a request under way, longest first. */
  readonly #idle = new Set<Connection>();
  readonly #timer: NodeJS.Timeout;
  #isLast = false;
  #admitted = 0;
  #requests = 0;
  #onEmpty: (() => void) | undefined;

  constructor(settings: ConnectionSettings, refusals: Refusals) {
    this.#settings = settings;
    this.#refusals = refusals;
    this.#timer = setInterval(() => this.#sweep(), settings.checkMs);
    this.#timer.unref();
  }

  /** Under way, on all connections. */
  get requests(): number {
    return this.#requests;
  }

  get connectionsMax(): number {
    return this.#settings.connectionsMax;
  }

  /** How many there have ever been. */
  get admitted(): number {
    return this.#admitted;
  }

  /** A connection over the bound is answered and closed, and `begin` is false for what comes on it. */
  admit(socket: Socket): void {
    const { connectionsMax } = this.#settings;
    if (this.#all.size >= connectionsMax && !this.#closeOldestIdle()) {
      const fault = new Fault("too_many_connections", `There are ${connectionsMax} connections already.`);
      this.#refusals.refuse(socket, fault);
      return;
    }
    const connection = { socket, exchanges: [], requests: 0, bytesWhenIdle: 0, isRefused: false };
    this.#admitted++;
    this.#all.set(socket, connection);
    this.#idle.add(connection);
    socket.once("close", () => this.#forget(connection));
  }

  /** False: nothing may be done for this request. A refusal for the sake of its neighbours is answered here. */
  begin(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    const connection = this.#all.get(incoming.socket);
    // after our own end no answer could be sent: the client may safely ask again elsewhere
    if (connection === undefined || connection.isRefused || incoming.socket.writableEnded) return false;
    const exchange: Exchange = { incoming, outgoing };
    connection.exchanges.push(exchange);
    this.#requests++;
    this.#idle.delete(connection);
    outgoing.once("close", () => this.#end(connection, exchange));
    const isLast = ++connection.requests >= this.#settings.requestsPerConnectionMax;
    if (isLast || this.#isLast) outgoing.setHeader("connection", "close");
    return true;
  }

  isOverPipelined(socket: Socket): boolean {
    return (this.#all.get(socket)?.exchanges.length ?? 0) > this.#settings.pipelinedMax;
  }

  /** Nothing more is heard on it: after the answers that it has coming it is closed. */
  mute(socket: Socket): void {
    const connection = this.#all.get(socket);
    if (connection !== undefined) connection.isRefused = true;
  }

  /** True where an answer has begun, so that another would be read as part of it. */
  isAnswering(socket: Socket): boolean {
    return this.#all.get(socket)?.exchanges.some(({ outgoing }) => outgoing.headersSent) === true;
  }

  isIdle(socket: Socket): boolean {
    return this.#all.get(socket)?.exchanges.length === 0;
  }

  /** From now on every answer is the last of its connection, and says so. */
  makeLast(): void {
    this.#isLast = true;
    for (const { exchanges } of this.#all.values()) {
      for (const { outgoing } of exchanges)
        if (!outgoing.headersSent) outgoing.setHeader("connection", "close");
    }
  }

  /** Ends connections on which nothing is under way, not even the first bytes of a request. */
  endIdle(): void {
    for (const connection of this.#idle) if (hasNothingNew(connection)) connection.socket.end();
  }

  /** Resolves when the last connection is gone. */
  async empty(): Promise<void> {
    if (this.#all.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    await promise;
  }

  /** Cuts what is left. */
  cut(): void {
    for (const socket of this.#all.keys()) socket.destroy();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #closeOldestIdle(): boolean {
    const [oldest] = this.#idle;
    if (oldest === undefined) return false;
    this.#refusals.note("idle_connection_closed", "a connection without a request made room for a new one");
    this.#idle.delete(oldest);
    this.#all.delete(oldest.socket);
    oldest.socket.destroy();
    return true;
  }

  #end(connection: Connection, exchange: Exchange): void {
    const { socket, exchanges } = connection;
    exchanges.splice(exchanges.indexOf(exchange), 1);
    this.#requests--;
    if (exchanges.length > 0 || socket.destroyed || !this.#all.has(socket)) return;
    connection.bytesWhenIdle = socket.bytesRead;
    this.#idle.add(connection);
    // an answer that had begun before the stop could not say that it was the last
    if (this.#isLast) setImmediate(() => hasNothingNew(connection) && socket.end());
  }

  #forget(connection: Connection): void {
    this.#idle.delete(connection);
    this.#all.delete(connection.socket);
    if (this.#all.size === 0) this.#onEmpty?.();
  }

  #sweep(): void {
    const now = performance.now();
    for (const { socket, exchanges } of this.#all.values()) {
      for (const exchange of exchanges) {
        if (!exchange.incoming.complete) this.#checkBody(socket, exchange, now);
        if (exchange.outgoing.writableEnded) this.#checkReader(socket, exchange, now);
      }
    }
  }

  #checkBody(socket: Socket, exchange: Exchange, now: number): void {
    const { bodyWindowMs, bodyWindowBytesMin } = this.#settings;
    const bytes = socket.bytesRead;
    const isOursToRead = exchange.incoming.readableLength > 0;
    if (exchange.bodyMark === undefined || isOursToRead) exchange.bodyMark = { at: now, bytes };
    if (now - exchange.bodyMark.at < bodyWindowMs) return;
    const got = bytes - exchange.bodyMark.bytes;
    exchange.bodyMark = { at: now, bytes };
    if (got >= bodyWindowBytesMin) return;
    const fault = tooSlow(
      `The body comes too slowly: ${got} bytes in ${bodyWindowMs} ms; accepted: ${bodyWindowBytesMin} or more.`,
    );
    this.#cutExchange(socket, fault);
  }

  #cutExchange(socket: Socket, fault: Fault): void {
    this.mute(socket);
    if (this.isAnswering(socket)) {
      this.#refusals.note(fault.code, fault.message);
      socket.destroy();
      return;
    }
    this.#refusals.refuse(socket, fault);
    // whatever still works on the request is told that its caller is gone, as soon as the answer is out
    socket.once("finish", () => socket.destroy());
  }

  #checkReader(socket: Socket, exchange: Exchange, now: number): void {
    exchange.endedAt ??= now;
    if (exchange.outgoing.writableFinished || now - exchange.endedAt < this.#settings.flushTimeoutMs) return;
    this.#refusals.note("slow_reader", "an answer was not read in time");
    socket.destroy();
  }
}

function hasNothingNew({ socket, bytesWhenIdle, exchanges }: Connection): boolean {
  return exchanges.length === 0 && socket.bytesRead === bytesWhenIdle;
}
