/** Server-sent events for control routes. Calls have a faster writer of their own: `routes/invocations/callers.ts`. */
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
  /** How often a comment line is sent, so that no proxy closes a quiet stream. */
  readonly pingMs: number;
  /** The last event of a stream that fails, or that is cut because the process stops. */
  readonly onError: (error: unknown) => SseEvent;
  /** The caller left, or the process stops. */
  readonly signals: readonly AbortSignal[];
}

/** Reads no faster than the caller; ends the source when the caller leaves or a signal aborts. */
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
  /** A stream that is cut by the stop says so in its last event: else it would look complete. */
  const end = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    if (isFault(signal.reason)) controller.enqueue(encoder.encode(formatSse(options.onError(signal.reason))));
    close(controller);
  };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      events = options.events(signal)[Symbol.asyncIterator]();
      controller.enqueue(encoder.encode(": open\n\n"));
      // pings must not pile up for a caller that does not read
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

/** JSON text contains no line end, so one `data` line is enough. */
export function formatSse({ event, id, data }: SseEvent): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** True where the caller asks for one JSON document instead of a stream. */
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
