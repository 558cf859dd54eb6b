/**
 * Refusals before there is a request that a route could answer: written straight to the socket, in the usual JSON form,
 * and logged in one line per second at most, with counts.
 */
import { randomUUID } from "node:crypto";
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { Fault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { faultBody } from "../answers/fault-response.ts";

const LOG_EVERY_MS = 1000;
/** How long a refused client may read its answer; closing while it still sends would lose the answer. */
const LINGER_MS = 500;

/** One per listener. Disposing it logs the counts that are not written yet and stops its timer. */
export class Refusals implements Disposable {
  readonly #log: Log;
  #counts = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #lastMessage = "";

  constructor(log: Log) {
    this.#log = log;
  }

  /** Logs the first at once, and those of the following second together. */
  note(reason: string, message: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
    this.#lastMessage = message;
    if (this.#timer !== undefined) return;
    this.#write();
    this.#timer = setInterval(() => {
      if (this.#counts.size > 0) return this.#write();
      clearInterval(this.#timer);
      this.#timer = undefined;
    }, LOG_EVERY_MS);
    this.#timer.unref();
  }

  /** Answers, by default with the fault, and closes. Must not be called where another answer has begun on the socket. */
  refuse(socket: Socket, fault: Fault, said = rawAnswer(fault)): void {
    this.note(fault.code, fault.message);
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    socket.end(said);
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once("close", () => clearTimeout(timer));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    if (this.#counts.size > 0) this.#write();
  }

  #write(): void {
    this.#log.warn(
      { op: "http.refused", counts: Object.fromEntries(this.#counts), last: this.#lastMessage },
      "refused requests or connections",
    );
    this.#counts = new Map();
  }
}

function rawAnswer(fault: Fault): string {
  const requestId = randomUUID();
  const body = JSON.stringify(faultBody(fault, requestId));
  const { status } = fault.rule;
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n");
}

/** The fault for bytes that Node cannot parse or that come too slowly; undefined where the client has just left. */
export function faultOfClientError(error: Error): Fault | undefined {
  const code: unknown = Reflect.get(error, "code");
  if (typeof code !== "string") return undefined;
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return tooSlow("The request was not complete in time.");
  if (code === "HPE_HEADER_OVERFLOW") {
    return new Fault("headers_too_large", "Request line and headers are too large.");
  }
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") {
    return new Fault("payload_too_large", "The extensions of a chunk are too large.");
  }
  // the connection ended in the middle of a request: nobody would read an answer
  if (!code.startsWith("HPE_") || code === "HPE_INVALID_EOF_STATE") return undefined;
  const reason: unknown = Reflect.get(error, "reason");
  return malformed(typeof reason === "string" ? reason : error.message);
}

/** For a plugin that its author has pointed at the API: it shows whole lines of text, and no answer. */
export const DEBUG_PORT_HINT = "berth: this is the port of the API: plugins connect to BERTH_DEBUG_PORT\n";

/** Whether the first bytes are those with which a plugin connects to the debug port. */
export function isDebugHandshake(error: Error): boolean {
  const raw: unknown = Reflect.get(error, "rawPacket");
  return Buffer.isBuffer(raw) && /^\{\s*"type"\s*:\s*"handshake"/.test(raw.toString("latin1", 0, 64));
}

export function malformed(reason: string): Fault {
  return new Fault("malformed_request", `The request is not valid HTTP/1.1: ${reason}.`);
}

export function tooSlow(message: string): Fault {
  return new Fault("request_timeout", message);
}
