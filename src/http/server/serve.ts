/**
 * The listener: Node's own HTTP server with bounds on everything that Node leaves unbounded, and an orderly stop. Each
 * bound is a setting and is tested over raw sockets.
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
import { DEBUG_PORT_HINT, faultOfClientError, isDebugHandshake, malformed, Refusals } from "./refusals.ts";

export interface ServeOptions {
  readonly app: HttpApp;
  readonly host: string;
  /** 0: any free port, see `url`. */
  readonly port: number;
  readonly log: Log;
  readonly settings: ServeSettings;
}

export interface ServeSettings extends ConnectionSettings {
  /** Bytes of request line and headers. */
  readonly headerBytesMax: number;
  readonly headersMax: number;
  /** From the first byte of a request to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** For receiving a whole request, uploads included. */
  readonly requestTimeoutMs: number;
  /** For a connection without a request. Should exceed that of a proxy in front. */
  readonly keepAliveTimeoutMs: number;
  /** A client that reads no byte of its pending answer for this long is disconnected. */
  readonly stallTimeoutMs: number;
  /** First step of the stop: it still accepts but is not ready, so that a load balancer can turn away. */
  readonly drainDelayMs: number;
  /** Then idle connections stay open this long, so that a busy client learns of the end from an answer. */
  readonly idleLingerMs: number;
  /** Then requests under way may end by themselves for this long; the rest get `shutting_down`. */
  readonly drainMs: number;
  /** Then the connections have this long to send that answer before they are closed. */
  readonly lastWordMs: number;
}

/** A listener that accepts connections until it is disposed. */
export interface Served extends AsyncDisposable {
  readonly url: string;
  /**
   * Not ready from now on. After `drainDelayMs` it stops listening and ends control streams; requests under way drain
   * for `drainMs`. The rest get `shutting_down`, and their connections are closed.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Connections over the bound that are refused with an answer at the same time; more are dropped without one. */
const REFUSED_AT_ONCE_MAX = 100;

interface Parts {
  readonly server: Server;
  readonly connections: Connections;
  readonly refusals: Refusals;
}

/** Resolves once it listens; rejects where the address is not available. */
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
    // the gate checks it and answers in Berth's form
    requireHostHeader: false,
    noDelay: true,
  });
  // Node would silently drop headers over its bound; their bytes are bounded, and the gate counts them
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
      // A connection could not be accepted, for example for lack of file descriptors; later ones may be.
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
  // Node also reads requests from a refused socket: `begin` refuses them
  server.on("connection", (socket: Socket) => connections.admit(socket));
  server.on("drop", () =>
    refusals.note("too_many_connections", "connections were dropped without an answer"),
  );
  server.on("clientError", (error: Error, socket: Socket) => {
    if (socket.writableEnded) return;
    const fault = faultOfClientError(error);
    if (isDebugHandshake(error) && !connections.isAnswering(socket)) {
      connections.stopServing(socket);
      refusals.refuse(
        socket,
        malformed("it is from a plugin that looks for the debug port"),
        DEBUG_PORT_HINT,
      );
    } else if (fault === undefined) {
      socket.destroy();
    } else if (connections.isAnswering(socket)) {
      refusals.note(fault.code, fault.message);
      socket.destroy();
    } else {
      connections.stopServing(socket);
      refusals.refuse(socket, fault);
    }
  });
  server.on("connect", (_request, socket: Socket) => {
    // Node has removed its own listener: an unhandled reset by the client would end the process
    socket.on("error", () => undefined);
    // `admit` has answered and counted it.
    if (socket.writableEnded) return;
    refusals.refuse(socket, malformed("this server is not a proxy"));
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
    // a library must not replace globals of the process
    overrideGlobalObjects: false,
    errorHandler: (error) => refusalOfThrown(error, log),
  });
  server.on("request", (incoming, outgoing) => {
    // a write after the caller has left is lost, which is fine
    outgoing.on("error", () => undefined);
    if (!connections.begin(incoming, outgoing)) return;
    const fault = connections.isOverPipelined(incoming.socket)
      ? new Fault(
          "busy",
          `More than ${pipelinedMax} requests at once on one connection; accepted: at most ${pipelinedMax}.`,
        )
      : refusalOf(incoming, headersMax);
    if (fault === undefined) {
      serveRequest({ answer, log }, incoming, outgoing);
      return;
    }
    connections.stopServing(incoming.socket);
    refusals.note(fault.code, fault.message);
    refuseRequest(incoming, outgoing, fault);
  });
}

/** For errors that no route caught: an unreadable address is the caller's error, everything else is internal. */
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

/** An error that is thrown asynchronously while a request is served ends that request only. */
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

/** Sent in its turn, after the answers that are due before it; then the connection ends. */
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
 * Node accepts one connection per turn of the event loop. If the listener closed before, connections that the kernel
 * has already accepted would be reset, and their first requests lost.
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
  connections.closeAfterAnswers();
  await sleep(settings.drainDelayMs);
  await acceptBacklog(connections, settings.drainMs);
  const closed = new Promise<void>((resolve) => {
    // The HTTP server's own close would cut idle connections at once, and with them requests that are on their way.
    Reflect.apply(NetServer.prototype.close, server, [() => resolve()]);
  });
  app.endStreams();
  const drained = connections.drained();
  const linger = setTimeout(() => setImmediate(() => connections.endIdle()), settings.idleLingerMs);
  using deadline = new Deadline({ clock: systemClock, ms: settings.drainMs });
  await waitOrAbort(drained, deadline.signal).catch(() => undefined);
  clearTimeout(linger);
  app[Symbol.dispose]();
  const lastWord = setTimeout(() => connections.destroyAll(), settings.lastWordMs);
  await drained;
  clearTimeout(lastWord);
  await closed;
  // stops Node's own timer for time-outs
  server.close(() => undefined);
  connections[Symbol.dispose]();
  refusals[Symbol.dispose]();
  log.info({ op: "http.stop", ok: true, duration_ms: Math.round(performance.now() - startedAt) });
}
