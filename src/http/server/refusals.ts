/**
 * What is refused before there is a request that a Route could answer: written straight to the socket, in the one
 * error shape, and counted in one line of the log a second at most, however many there are.
 */
import { randomUUID } from "node:crypto";
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { Fault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { faultBody } from "../answers/fault-response.ts";

const LOG_EVERY_MS = 1000;
/** A refused client may read its answer for so long; to cut it while it still sends would take the answer away. */
const LINGER_MS = 500;

export class Refusals implements Disposable {
  readonly #log: Log;
  #counts = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #lastMessage = "";

  constructor(log: Log) {
    this.#log = log;
  }

  /** The first is logged at once, those of the following second together. */
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

  /** Answers and closes. The caller sees to it that nothing else was answered on the socket. */
  refuse(socket: Socket, fault: Fault): void {
    this.note(fault.code, fault.message);
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    socket.end(rawAnswer(fault));
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
      "requests or connections that broke a rule of the door",
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

/** What Node says of bytes that are no request, or come too slowly; undefined where the client has just left. */
export function faultOfClientError(error: Error): Fault | undefined {
  const code: unknown = Reflect.get(error, "code");
  if (typeof code !== "string") return undefined;
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return tooSlow("The request was not complete in time.");
  if (code === "HPE_HEADER_OVERFLOW") {
    return new Fault("headers_too_large", "Request line and headers are larger than is accepted.");
  }
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") {
    return new Fault("payload_too_large", "The extensions of a chunk are too large.");
  }
  // the connection ended in the middle of a request: nobody is there to be told
  if (!code.startsWith("HPE_") || code === "HPE_INVALID_EOF_STATE") return undefined;
  const reason: unknown = Reflect.get(error, "reason");
  return malformed(typeof reason === "string" ? reason : error.message);
}

export function malformed(reason: string): Fault {
  return new Fault("malformed_request", `The request is not as HTTP/1.1 has it: ${reason}.`);
}

export function tooSlow(message: string): Fault {
  return new Fault("request_timeout", message);
}
