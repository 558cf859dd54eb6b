/** The caller's side of a call, written to Node's own response, which is measurably cheaper than a web stream. */
import type { ServerResponse } from "node:http";
import { Fault } from "../../../domain/fault.ts";
import type { JsonText } from "../../../domain/frame.ts";
import type { InvocationEnd, InvocationSink } from "../../../domain/invocation.ts";
import { faultBody } from "../../answers/fault-response.ts";
import { GatheredAnswer } from "../../answers/gathered-answer.ts";
import { formatSse, SSE_HEADERS } from "../../answers/sse.ts";

export interface CallerOptions {
  readonly response: ServerResponse;
  readonly requestId: string;
}

/**
 * As server-sent events: one `item` per item of the plugin, then one `end` or `error`. A call that is refused before it
 * reaches the plugin gets an answer with its own status instead.
 */
export class EventCaller implements InvocationSink {
  readonly #options: CallerOptions;
  readonly #answer: GatheredAnswer;
  readonly #onDone: () => void;
  #isStarted = false;
  #items = 0;

  constructor(options: CallerOptions, onDone: () => void) {
    this.#options = options;
    const headers = { ...SSE_HEADERS, "x-request-id": options.requestId };
    this.#answer = new GatheredAnswer(options.response, headers);
    this.#onDone = onDone;
  }

  get bufferedBytes(): number {
    return this.#answer.bufferedBytes;
  }

  started(): void {
    this.#isStarted = true;
  }

  item(data: JsonText): void {
    this.#items++;
    if (data.utf8 === undefined) this.#answer.add(`event: item\ndata: ${data.text}\n\n`);
    else this.#answer.addBytes("event: item\ndata: ", data.utf8, "\n\n");
  }

  end(end: InvocationEnd): void {
    this.#onDone();
    const { requestId } = this.#options;
    if (!end.ok && !this.#isStarted) {
      this.#answer.abandon();
      sendJson(this.#options, end.fault.rule.status, faultBody(end.fault, requestId));
      return;
    }
    this.#answer.end(
      end.ok
        ? `event: end\ndata: {"items":${this.#items}}\n\n`
        : formatSse({ event: "error", data: faultBody(end.fault, requestId) }),
    );
  }

  /** Keeps the connection open while the plugin sends nothing. */
  ping(): void {
    if (!this.#answer.hasEnded && this.#isStarted && this.bufferedBytes === 0) this.#answer.add(": ping\n\n");
  }
}

/** As one JSON document: all items, or the error with its status. */
export class DocumentCaller implements InvocationSink {
  /** Nothing waits for the caller: the document is complete before its first byte is sent. */
  readonly bufferedBytes = 0;
  readonly #options: CallerOptions & { readonly bytesMax: number };
  readonly #onDone: () => void;
  #items: JsonText[] = [];
  #bytes = 0;

  constructor(options: CallerOptions & { readonly bytesMax: number }, onDone: () => void) {
    this.#options = options;
    this.#onDone = onDone;
  }

  started(): void {
    // the document's status is known at the end only
  }

  item(data: JsonText): void {
    this.#bytes += data.utf8?.length ?? Buffer.byteLength(data.text);
    if (this.#bytes <= this.#options.bytesMax) this.#items.push(data);
    else this.#items = [];
  }

  end(end: InvocationEnd): void {
    this.#onDone();
    const { requestId, bytesMax } = this.#options;
    const fault = end.ok ? this.#tooLarge(bytesMax) : end.fault;
    if (fault === undefined) {
      sendText(this.#options, 200, listed(this.#items, requestId));
    } else {
      sendJson(this.#options, fault.rule.status, faultBody(fault, requestId));
    }
  }

  #tooLarge(bytesMax: number): Fault | undefined {
    if (this.#bytes <= bytesMax) return undefined;
    return new Fault(
      "answer_too_large",
      `The answer has ${this.#bytes} bytes; one document can hold ${bytesMax}. Ask for a stream.`,
      {
        details: { value: this.#bytes, accepted: `at most ${bytesMax} bytes, or Accept: text/event-stream` },
      },
    );
  }
}

/** Text, or bytes where an item is large: copying its bytes saves encoding it again. */
function listed(items: readonly JsonText[], requestId: string): string | Uint8Array {
  const end = `],"request_id":${JSON.stringify(requestId)}}`;
  if (items.every(({ utf8 }) => utf8 === undefined))
    return `{"items":[${items.map(({ text }) => text).join(",")}${end}`;
  const parts = items.flatMap((item, at) => [
    Buffer.from(at === 0 ? '{"items":[' : ","),
    item.utf8 ?? Buffer.from(item.text),
  ]);
  return Buffer.concat([...parts, Buffer.from(end)]);
}

function sendJson(options: CallerOptions, status: number, body: object): void {
  sendText(options, status, JSON.stringify(body));
}

function sendText(options: CallerOptions, status: number, text: string | Uint8Array): void {
  options.response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "x-request-id": options.requestId,
  });
  options.response.end(text);
}
