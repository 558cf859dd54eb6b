/**
 * The caller's side of a hook, on Node's own response: status and headers with the first piece of the body, then each
 * piece as it comes. A failure before the first piece is an answer of its own. Later the connection is cut so that the
 * client can tell it from an end: an error text of Berth's would look like part of the plugin's body.
 */
import type { ServerResponse } from "node:http";
import { type Fault, type FaultCode, toFault } from "../../domain/fault.ts";
import { type JsonText, readJson } from "../../domain/frame.ts";
import type { InvocationEnd, InvocationSink } from "../../domain/invocation.ts";
import { HookResponse } from "../../endpoint/hooks/hook-response.ts";
import { failureText } from "../dify/envelope.ts";
import { hookFailure } from "./hook-failure.ts";

export interface HookCallerOptions {
  readonly response: ServerResponse;
  readonly requestId: string;
  /** The answer has ended before the plugin did. */
  readonly onBroken: () => void;
}

/** One per request. It writes one answer, and after that ignores everything that comes. */
export class HookCaller implements InvocationSink {
  readonly #options: HookCallerOptions;
  readonly #answer = new HookResponse();
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #isFlushing = false;
  #hasBody = false;
  #isOver = false;
  /** How many bytes may still be sent of the length that the plugin announced. */
  #left = Number.POSITIVE_INFINITY;
  #bytes = 0;
  #code: FaultCode | undefined;

  constructor(options: HookCallerOptions) {
    this.#options = options;
  }

  get bufferedBytes(): number {
    return this.#options.response.writableLength + this.#pendingBytes;
  }

  /** Bytes of the body handed to the connection. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Why the caller did not get the plugin's whole answer; undefined where it did. */
  get code(): FaultCode | undefined {
    return this.#code;
  }

  started(): void {
    // the answer's status comes from the plugin
  }

  item(data: JsonText): void {
    if (this.#isOver) return;
    try {
      const piece = this.#answer.take(readJson(data));
      if (piece !== undefined) this.#take(piece);
    } catch (error) {
      this.fail(toFault(error));
      this.#options.onBroken();
    }
  }

  end(end: InvocationEnd): void {
    if (this.#isOver) return;
    try {
      if (end.ok) this.#finish();
      else this.fail(end.fault);
    } catch (error) {
      this.fail(toFault(error));
    }
  }

  /** Answers with an error, or cuts the connection where the body has begun. */
  fail(fault: Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#code = fault.code;
    if (this.#hasBody) this.#cut(fault);
    else this.#refuse(fault);
  }

  #refuse(fault: Fault): void {
    const { response, requestId } = this.#options;
    const error = hookFailure(fault);
    const text = failureText(error);
    response.writeHead(error.status, {
      "content-type": "application/json; charset=utf-8",
      "content-length": Buffer.byteLength(text),
      "x-request-id": requestId,
    });
    response.end(text);
  }

  #take(piece: Buffer): void {
    this.#hasBody = true;
    this.#pending.push(piece);
    this.#pendingBytes += piece.length;
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      if (!this.#isOver) this.#flush();
    });
  }

  /** Sends what has come in one turn of the event loop in one write. */
  #flush(): void {
    const { response } = this.#options;
    const sent = this.#next();
    if (sent.length > 0) response.write(sent);
    // without a body the headers would wait for one
    else response.flushHeaders();
  }

  #finish(): void {
    this.#isOver = true;
    const { response } = this.#options;
    const sent = this.#next({ isLast: true });
    const isShort = hasBody(response) && Number.isFinite(this.#left) && this.#left > 0;
    if (!isShort) {
      response.end(sent);
      return;
    }
    this.#code = "plugin_protocol";
    response.flushHeaders();
    if (sent.length > 0) response.write(sent);
    this.#destroy();
  }

  /** The bytes to send now, after the headers have been written. */
  #next({ isLast = false } = {}): Buffer {
    const body = this.#drain();
    // a whole answer with its length is one write; in chunks it would be several
    this.#writeHead(body, isLast ? body.length : undefined);
    if (!hasBody(this.#options.response)) return Buffer.alloc(0);
    const sent = body.length > this.#left ? body.subarray(0, this.#left) : body;
    if (sent.length < body.length) this.#code = "plugin_protocol";
    this.#left -= sent.length;
    this.#bytes += sent.length;
    return sent;
  }

  #drain(): Buffer {
    const [only] = this.#pending;
    const body = only !== undefined && this.#pending.length === 1 ? only : Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    return body;
  }

  #writeHead(body: Buffer, wholeLength: number | undefined): void {
    const { response, requestId } = this.#options;
    if (response.headersSent) return;
    const { status, headers, length } = this.#answer.head(body);
    response.statusCode = status;
    response.setHeader("X-Request-Id", requestId);
    for (const [name, value] of headers) {
      if (name.toLowerCase() === "set-cookie") response.appendHeader(name, value);
      else response.setHeader(name, value);
    }
    if (length !== undefined) this.#left = length;
    const shown = length ?? (hasBody(response) ? wholeLength : undefined);
    if (shown !== undefined) response.setHeader("Content-Length", shown);
  }

  #cut(fault: Fault): void {
    const { response } = this.#options;
    if (fault.code === "slow_caller") {
      response.destroy();
      return;
    }
    if (!response.headersSent || this.#pendingBytes > 0) this.#flush();
    this.#destroy();
  }

  /** After the pending bytes, and so that it does not look like a regular end. */
  #destroy(): void {
    const { socket } = this.#options.response;
    // without chunks and length the end of the connection is the end of the body, unless it is reset
    const isMarked = this.#options.response.useChunkedEncodingByDefault || Number.isFinite(this.#left);
    if (isMarked) socket?.destroySoon();
    else socket?.resetAndDestroy();
  }
}

function hasBody({ req, statusCode }: ServerResponse): boolean {
  return req.method !== "HEAD" && statusCode !== 204 && statusCode !== 304;
}
