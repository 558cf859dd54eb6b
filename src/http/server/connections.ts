/**
 * Every open connection, and the requests on it. One timer checks all of them for slow bodies and slow readers, so that
 * a request on the warm path costs no timer of its own.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Fault } from "../../domain/fault.ts";
import { lingerAtEnd } from "./linger.ts";
import { type Refusals, tooSlow } from "./refusals.ts";

export interface ConnectionSettings {
  /** Beyond this the longest idle connection is closed, or the new one refused. */
  readonly connectionsMax: number;
  /** The last request is answered with `Connection: close`. */
  readonly requestsPerConnectionMax: number;
  /** Requests under way on one connection. */
  readonly pipelinedMax: number;
  /** A body must bring `bodyWindowBytesMin` in each `bodyWindowMs`, or its request ends. */
  readonly bodyWindowMs: number;
  readonly bodyWindowBytesMin: number;
  /** How long a caller may take to read the rest of an ended answer. */
  readonly flushTimeoutMs: number;
  /** How long the rest of a body is read and dropped after the last answer of its connection. */
  readonly lingerMs: number;
  /** How often the connections are checked. */
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
  latest: IncomingMessage | undefined;
  requests: number;
  /** Bytes read when the last request ended: more than that is the beginning of the next one. */
  bytesWhenIdle: number;
  isRefused: boolean;
}

/** One per listener. Disposing it stops its timer and closes no connection. */
export class Connections implements Disposable {
  readonly #settings: ConnectionSettings;
  readonly #refusals: Refusals;
  readonly #all = new Map<Socket, Connection>();
  /** Connections without a request, longest idle first. */
  readonly #idle = new Set<Connection>();
  readonly #timer: NodeJS.Timeout;
  #isClosing = false;
  #admitted = 0;
  #requests = 0;
  #onEmpty: (() => void) | undefined;

  constructor(settings: ConnectionSettings, refusals: Refusals) {
    this.#settings = settings;
    this.#refusals = refusals;
    this.#timer = setInterval(() => this.#sweep(), settings.checkMs);
    this.#timer.unref();
  }

  /** Requests under way on all connections. */
  get requests(): number {
    return this.#requests;
  }

  get connectionsMax(): number {
    return this.#settings.connectionsMax;
  }

  /** Number of connections accepted so far. */
  get admitted(): number {
    return this.#admitted;
  }

  /** A connection over the bound is answered and closed; `begin` then refuses its requests. */
  admit(socket: Socket): void {
    const { connectionsMax } = this.#settings;
    if (this.#all.size >= connectionsMax && !this.#closeOldestIdle()) {
      const fault = new Fault(
        "too_many_connections",
        `The server already has ${connectionsMax} connections; retry.`,
      );
      this.#refusals.refuse(socket, fault);
      return;
    }
    const connection: Connection = {
      socket,
      exchanges: [],
      latest: undefined,
      requests: 0,
      bytesWhenIdle: 0,
      isRefused: false,
    };
    lingerAtEnd(socket, () => connection.latest, this.#settings.lingerMs);
    this.#admitted++;
    this.#all.set(socket, connection);
    this.#idle.add(connection);
    socket.once("close", () => this.#forget(connection));
  }

  /** False: the request must not be served. */
  begin(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    const connection = this.#all.get(incoming.socket);
    // after our own end no answer can be sent; the client can safely retry elsewhere
    if (connection === undefined || connection.isRefused || incoming.socket.writableEnded) return false;
    const exchange: Exchange = { incoming, outgoing };
    connection.exchanges.push(exchange);
    connection.latest = incoming;
    this.#requests++;
    this.#idle.delete(connection);
    outgoing.once("close", () => this.#end(connection, exchange));
    const isLast = ++connection.requests >= this.#settings.requestsPerConnectionMax;
    if (isLast || this.#isClosing) outgoing.setHeader("connection", "close");
    return true;
  }

  isOverPipelined(socket: Socket): boolean {
    return (this.#all.get(socket)?.exchanges.length ?? 0) > this.#settings.pipelinedMax;
  }

  /** No further request is served on it: it is closed after the answers that are due. */
  stopServing(socket: Socket): void {
    const connection = this.#all.get(socket);
    if (connection !== undefined) connection.isRefused = true;
  }

  /** True where an answer has begun, so that another one would be read as part of it. */
  isAnswering(socket: Socket): boolean {
    return this.#all.get(socket)?.exchanges.some(({ outgoing }) => outgoing.headersSent) === true;
  }

  isIdle(socket: Socket): boolean {
    return this.#all.get(socket)?.exchanges.length === 0;
  }

  /** From now on every answer is the last of its connection, and says so. */
  closeAfterAnswers(): void {
    this.#isClosing = true;
    for (const { exchanges } of this.#all.values()) {
      for (const { outgoing } of exchanges)
        if (!outgoing.headersSent) outgoing.setHeader("connection", "close");
    }
  }

  /** Ends connections without a request, unless the first bytes of one have come. */
  endIdle(): void {
    for (const connection of this.#idle) if (hasNothingNew(connection)) connection.socket.end();
  }

  /** Resolves when the last connection has closed. */
  async drained(): Promise<void> {
    if (this.#all.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    await promise;
  }

  /** Closes the remaining connections. */
  destroyAll(): void {
    for (const socket of this.#all.keys()) socket.destroy();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #closeOldestIdle(): boolean {
    const [oldest] = this.#idle;
    if (oldest === undefined) return false;
    this.#refusals.note("idle_connection_closed", "an idle connection was closed for a new one");
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
    if (this.#isClosing) setImmediate(() => hasNothingNew(connection) && socket.end());
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
      `The body is too slow: ${got} bytes in ${bodyWindowMs} ms; accepted: ${bodyWindowBytesMin} or more.`,
    );
    this.#cutExchange(socket, fault);
  }

  #cutExchange(socket: Socket, fault: Fault): void {
    this.stopServing(socket);
    if (this.isAnswering(socket)) {
      this.#refusals.note(fault.code, fault.message);
      socket.destroy();
      return;
    }
    this.#refusals.refuse(socket, fault);
    // aborts the work on the request as soon as the answer has been sent
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
