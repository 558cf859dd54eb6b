/**
 * The listener: Node's own HTTP server, its bounds, and how it stops. What Node leaves open is closed here; each bound
 * is a setting and is tested over raw sockets.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, Server as NetServer, type Socket } from "node:net";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { getRequestListener, RequestError } from "@hono/node-server";
import { Fault, toFault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { systemClock } from "../../util/clock.ts";
import { Deadline } from "../../util/deadline.ts";
import { serveUnit } from "../../util/serving.ts";
import { waitOrAbort } from "../../util/wait.ts";
import { faultBody, faultResponse } from "../answers/fault-response.ts";
import type { HttpApp } from "../app.ts";
import { requestId } from "../env.ts";
import { type ConnectionSettings, Connections } from "./connections.ts";
import { refusalOf } from "./gate.ts";
import { faultOfClientError, malformed, Refusals } from "./refusals.ts";

export interface ServeOptions {
  readonly app: HttpApp;
  readonly host: string;
  /** 0: any free one, see `url`. */
  readonly port: number;
  readonly log: Log;
  readonly settings: ServeSettings;
}

export interface ServeSettings extends ConnectionSettings {
  /** Request line and headers. */
  readonly headerBytesMax: number;
  readonly headersMax: number;
  /** From the first byte of a connection, or of its next request, to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** Reception of a whole request, uploads included. */
  readonly requestTimeoutMs: number;
  /** A connection without a request. Longer than that of a proxy in front. */
  readonly keepAliveTimeoutMs: number;
  /** A client that has not taken one byte of what waits for it in that time is cut. */
  readonly stallTimeoutMs: number;
  /** After the stop: it still accepts, but is not ready any more, so that a load balancer can turn away. */
  readonly drainDelayMs: number;
  /** Then: connections without a request stay for so long, so that a busy client hears of the end from an answer. */
  readonly idleLingerMs: number;
  /** Then: what is under way may end for so long; what is left gets `shutting_down`. */
  readonly drainMs: number;
  /** Then: how long that last word has before the connections are cut. */
  readonly lastWordMs: number;
}

export interface Served extends AsyncDisposable {
  readonly url: string;
  /**
   * Not ready from now on; after `drainDelayMs` it stops listening and ends control streams, and what is under way may
   * end by itself for `drainMs`. What is left is told `shutting_down` and cut.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Sockets over the bound that are refused with an answer at once; what comes on top of them is dropped. */
const REFUSED_AT_ONCE_MAX = 100;

interface Parts {
  readonly server: Server;
  readonly connections: Connections;
  readonly refusals: Refusals;
}

/** Resolves once it listens; rejects where the address cannot be had. */
export async function serve({ app, host, port, log, settings }: ServeOptions): Promise<Served> {
  const refusals = new Refusals(log);
  const connections = new Connections(settings, refusals);
  app.watch?.(connections);
  const server = createServer({
    maxHeaderSize: settings.headerBytesMax,
    headersTimeout: Math.min(settings.headersTimeoutMs, settings.requestTimeoutMs),
    requestTimeout: settings.requestTimeoutMs,
    keepAliveTimeout: settings.keepAliveTimeoutMs,
    connectionsCheckingInterval: settings.checkMs,
    // checked by the gate, whose answer has our form
    requireHostHeader: false,
    noDelay: true,
  });
  // Node would leave headers over its bound out in silence; their bytes are bounded, and the gate counts them
  server.maxHeadersCount = 0;
  server.maxConnections = settings.connectionsMax + REFUSED_AT_ONCE_MAX;
  server.timeout = settings.stallTimeoutMs;
  const parts = { server, connections, refusals };
  guardConnections(parts);
  listenToRequests(parts, app, log, settings);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      // Of a connection that could not be accepted, for want of descriptors for one; it is the next one's turn.
      server.on("error", () => refusals.note("too_many_connections", "a connection could not be accepted"));
      resolve();
    });
  });
  const address = server.address() as AddressInfo;
  const shown = address.family === "IPv6" ? `[${address.address}]` : address.address;
  let stopped: Promise<void> | undefined;
  return {
    url: `http://${shown}:${address.port}`,
    [Symbol.asyncDispose]() {
      stopped ??= stop(parts, app, log, settings);
      return stopped;
    },
  };
}

function guardConnections({ server, connections, refusals }: Parts): void {
  // Node reads requests from a socket that is refused, too: `begin` knows none of them
  server.on("connection", (socket: Socket) => connections.admit(socket));
  server.on("drop", () =>
    refusals.note("too_many_connections", "connections were dropped without an answer"),
  );
  server.on("clientError", (error: Error, socket: Socket) => {
    if (socket.writableEnded) return;
    const fault = faultOfClientError(error);
    if (fault === undefined) {
      socket.destroy();
    } else if (connections.isAnswering(socket)) {
      refusals.note(fault.code, fault.message);
      socket.destroy();
    } else {
      connections.mute(socket);
      refusals.refuse(socket, fault);
    }
  });
  server.on("connect", (_request, socket: Socket) => {
    // Node has taken its own listener off: a reset by the client would be nobody's, and end the process
    socket.on("error", () => undefined);
    refusals.refuse(socket, malformed("this is no proxy"));
  });
  server.on("timeout", (socket: Socket) => {
    if (connections.isIdle(socket)) {
      socket.destroy();
    } else if (socket.writableLength > 0) {
      refusals.note("slow_reader", "an answer was not read in time");
      socket.destroy();
    }
  });
}

function listenToRequests(
  { server, connections, refusals }: Parts,
  app: HttpApp,
  log: Log,
  { headersMax, pipelinedMax }: ServeSettings,
): void {
  const answer = getRequestListener((request, env) => app.fetch(request, env), {
    // a program's globals are not a library's to replace
    overrideGlobalObjects: false,
    errorHandler: (error) => refusalOfThrown(error, log),
  });
  server.on("request", (incoming, outgoing) => {
    // what is written after the caller's end is lost, and no more than that
    outgoing.on("error", () => undefined);
    if (!connections.begin(incoming, outgoing)) return;
    const fault = connections.isOverPipelined(incoming.socket)
      ? new Fault("busy", `More than ${pipelinedMax} requests at once on one connection.`)
      : refusalOf(incoming, headersMax);
    if (fault === undefined) {
      serveRequest({ answer, log }, incoming, outgoing);
      return;
    }
    connections.mute(incoming.socket);
    refusals.note(fault.code, fault.message);
    refuseRequest(incoming, outgoing, fault);
  });
}

/** Of what no route has caught: an address that cannot be read is the caller's mistake, all else is ours. */
function refusalOfThrown(error: unknown, log: Log): Response {
  const id = requestId(undefined);
  const isTheirs = error instanceof RequestError;
  if (!isTheirs) noteThrown(error, log, id);
  const fault = isTheirs ? malformed("its Host or its path cannot be read") : toFault(error);
  const refused = faultResponse(fault, id);
  refused.headers.set("connection", "close");
  return refused;
}

function noteThrown(error: unknown, log: Log, id: string): void {
  const fault = toFault(error);
  log.error({ op: "http.failure", request_id: id, code: fault.code, err: fault });
}

/** What is thrown to nobody while it is served ends this request. */
function serveRequest(
  { answer, log }: { readonly answer: ReturnType<typeof getRequestListener>; readonly log: Log },
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): void {
  const given = incoming.headers["x-request-id"];
  const id = requestId(typeof given === "string" ? given : undefined);
  const end = () => {
    if (outgoing.writableEnded) return;
    if (outgoing.headersSent) outgoing.destroy();
    else {
      const fault = toFault(undefined);
      outgoing.writeHead(fault.rule.status, { "content-type": "application/json", "x-request-id": id });
      outgoing.end(JSON.stringify(faultBody(fault, id)));
    }
  };
  const fields = { method: incoming.method, path: incoming.url?.split("?")[0], request_id: id };
  serveUnit({ kind: "request", fields, end }, () => {
    Promise.resolve(answer(incoming, outgoing)).catch((error: unknown) => {
      noteThrown(error, log, id);
      end();
    });
  });
}

/** In its turn, after the answers that are due before it; the connection ends with it. */
function refuseRequest(incoming: IncomingMessage, outgoing: ServerResponse, fault: Fault): void {
  const given = incoming.headers["x-request-id"];
  const id = requestId(typeof given === "string" ? given : undefined);
  const text = JSON.stringify(faultBody(fault, id));
  outgoing.writeHead(fault.rule.status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "x-request-id": id,
    connection: "close",
  });
  outgoing.end(text);
  incoming.resume();
}

/**
 * Node accepts one connection a turn of the event loop. Those that the kernel has taken in our name would be reset, and
 * their first request lost, if the listener closed over them.
 */
async function acceptBacklog(connections: Connections, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (let seen = -1; seen !== connections.admitted && performance.now() < deadline; ) {
    seen = connections.admitted;
    await turn();
    await turn();
  }
}

async function stop(
  { server, connections, refusals }: Parts,
  app: HttpApp,
  log: Log,
  settings: ServeSettings,
): Promise<void> {
  const startedAt = performance.now();
  app.makeUnready();
  connections.makeLast();
  await sleep(settings.drainDelayMs);
  await acceptBacklog(connections, settings.drainMs);
  const closed = new Promise<void>((resolve) => {
    // That of the HTTP server would cut idle connections at once, and with them requests that are on their way.
    Reflect.apply(NetServer.prototype.close, server, [() => resolve()]);
  });
  app.endStreams();
  const empty = connections.empty();
  const linger = setTimeout(() => setImmediate(() => connections.endIdle()), settings.idleLingerMs);
  using deadline = new Deadline({ clock: systemClock, ms: settings.drainMs });
  await waitOrAbort(empty, deadline.signal).catch(() => undefined);
  clearTimeout(linger);
  app[Symbol.dispose]();
  const lastWord = setTimeout(() => connections.cut(), settings.lastWordMs);
  await empty;
  clearTimeout(lastWord);
  await closed;
  // ends Node's own watch over time-outs
  server.close(() => undefined);
  connections[Symbol.dispose]();
  refusals[Symbol.dispose]();
  log.info({ op: "http.stop", ok: true, duration_ms: Math.round(performance.now() - startedAt) });
}
