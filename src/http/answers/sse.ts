/** Server-sent events for control routes. Invocations have a faster way of their own: see `invocation-stream.ts`. */
import { isFault } from "../../domain/fault.ts";

export interface SseEvent {
  readonly event: string;
  readonly id?: string;
  readonly data: unknown;
}

export const SSE_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
} as const;

export interface SseOptions {
  readonly events: (signal: AbortSignal) => AsyncIterable<SseEvent>;
  readonly requestId: string;
  /** A comment line goes out this often, so that nothing between cuts a quiet stream. */
  readonly pingMs: number;
  /** What a failure in mid-stream, or the stop of the process, is told as; the stream ends after it. */
  readonly onError: (error: unknown) => SseEvent;
  /** The caller left, or the process stops. */
  readonly signals: readonly AbortSignal[];
}

/** Reads no more events than the caller takes; ends the source when the caller leaves or a signal aborts. */
export function sseResponse(options: SseOptions): Response {
  const gone = new AbortController();
  const signal = AbortSignal.any([...options.signals, gone.signal]);
  const encoder = new TextEncoder();
  let ping: NodeJS.Timeout | undefined;
  let events: AsyncIterator<SseEvent> | undefined;
  const close = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    clearInterval(ping);
    gone.abort(new Error("the stream has ended"));
    try {
      controller.close();
    } catch {
      // the caller's side is closed already
    }
  };
  /** A stream that is cut short by the stop says so: its end alone would look like that of its source. */
  const end = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    if (isFault(signal.reason)) controller.enqueue(encoder.encode(formatSse(options.onError(signal.reason))));
    close(controller);
  };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      events = options.events(signal)[Symbol.asyncIterator]();
      controller.enqueue(encoder.encode(": open\n\n"));
      // a caller that does not read must not gather pings
      const write = () =>
        (controller.desiredSize ?? 0) > 0 && controller.enqueue(encoder.encode(": ping\n\n"));
      ping = setInterval(write, options.pingMs);
      ping.unref();
    },
    async pull(controller) {
      try {
        const next = await events?.next();
        if (next === undefined) close(controller);
        else if (next.done === true) end(controller);
        else controller.enqueue(encoder.encode(formatSse(next.value)));
      } catch (error) {
        if (!signal.aborted) controller.enqueue(encoder.encode(formatSse(options.onError(error))));
        end(controller);
      }
    },
    cancel() {
      clearInterval(ping);
      gone.abort(new Error("the caller has left"));
    },
  });
  return new Response(body, { headers: { ...SSE_HEADERS, "x-request-id": options.requestId } });
}

/** JSON text holds no line end, so one `data` line is enough. */
export function formatSse({ event, id, data }: SseEvent): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** True where the caller wants one JSON document and not a stream. */
export function wantsJson(accept: string | undefined): boolean {
  return accept?.includes("application/json") === true && !accept.includes("text/event-stream");
}

/** One timer for all open streams: a timer per call would cost the warm path more than it is worth. */
export class PingHub implements Disposable {
  readonly #streams = new Set<{ ping(): void }>();
  readonly #timer: NodeJS.Timeout;

  constructor(everyMs: number) {
    this.#timer = setInterval(() => {
      for (const stream of this.#streams) stream.ping();
    }, everyMs);
    this.#timer.unref();
  }

  add(stream: { ping(): void }): void {
    this.#streams.add(stream);
  }

  remove(stream: { ping(): void }): void {
    this.#streams.delete(stream);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
