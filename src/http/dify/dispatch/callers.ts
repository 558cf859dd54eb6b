/**
 * The caller's side of a dispatched call, written to Node's own response. No header is sent before the first event:
 * clients time the first event by it.
 */
import type { ServerResponse } from "node:http";
import { Fault, toFault } from "../../../domain/fault.ts";
import { type JsonText, readJson } from "../../../domain/frame.ts";
import type { InvocationEnd, InvocationSink } from "../../../domain/invocation.ts";
import { GatheredAnswer } from "../../answers/gathered-answer.ts";
import { failureText, successText } from "../envelope.ts";
import type { ChunkReader } from "../wire/chunks/reader.ts";
import { brokenCall, type CallFailure, refusedCall } from "./call-failure.ts";

export interface CallerOptions {
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly chunks: ChunkReader;
}

/** One envelope per chunk, nothing between them, and no closing event except that of an error. */
export class StreamCaller implements InvocationSink {
  readonly #options: CallerOptions;
  readonly #answer: GatheredAnswer;
  #isStarted = false;

  constructor(options: CallerOptions) {
    this.#options = options;
    this.#answer = new GatheredAnswer(options.response, { ...SSE, "x-request-id": options.requestId });
  }

  get bufferedBytes(): number {
    return this.#answer.bufferedBytes;
  }

  started(): void {
    this.#isStarted = true;
  }

  item(data: JsonText): void {
    if (this.#answer.hasEnded) return;
    try {
      const chunk = this.#options.chunks.read(readJson(data));
      if (chunk !== undefined) this.#answer.add(event(successText(chunk)));
    } catch (error) {
      // closing the response detaches the call
      this.#fail(brokenCall(toFault(error)));
    }
  }

  end(end: InvocationEnd): void {
    if (this.#answer.hasEnded) return;
    if (end.ok) this.#answer.end("");
    else this.#fail(this.#isStarted ? brokenCall(end.fault) : refusedCall(end.fault));
  }

  #fail(failure: CallFailure): void {
    if (failure.status === undefined) {
      this.#answer.end(event(failureText(failure)));
      return;
    }
    this.#answer.abandon();
    sendJson(this.#options, failure.status, failureText(failure));
  }
}

const SSE = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
} as const;

function event(text: string): string {
  return `data: ${text}\n\n`;
}

/** The last chunk as one JSON document. Errors after the gates have status 200: clients ignore the body of a 500. */
export class PolledCaller implements InvocationSink {
  readonly bufferedBytes = 0;
  readonly #options: CallerOptions;
  #isStarted = false;
  #last: unknown;
  #broken: Fault | undefined;

  constructor(options: CallerOptions) {
    this.#options = options;
  }

  started(): void {
    this.#isStarted = true;
  }

  item(data: JsonText): void {
    if (this.#broken !== undefined) return;
    try {
      this.#last = this.#options.chunks.read(readJson(data)) ?? this.#last;
    } catch (error) {
      this.#broken = toFault(error);
    }
  }

  end(end: InvocationEnd): void {
    const fault = this.#broken ?? (end.ok ? this.#nothing() : end.fault);
    if (fault === undefined) {
      sendJson(this.#options, 200, successText(this.#last));
      return;
    }
    const failure = this.#isStarted ? brokenCall(fault) : refusedCall(fault);
    const status = failure.status === 404 ? 404 : 200;
    sendJson(this.#options, status, failureText(failure));
  }

  #nothing(): Fault | undefined {
    if (this.#last !== undefined) return undefined;
    const message = "no polling result received from plugin";
    return new Fault("plugin_error", message, { details: { error_type: "no_result", message } });
  }
}

function sendJson({ response, requestId }: CallerOptions, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "x-request-id": requestId,
  });
  response.end(text);
}
