import type { EngineEvent } from "../../../src/engine/engine.ts";

/** As many as a Docker Engine keeps. */
const KEPT = 256;

interface Subscriber {
  readonly queue: EngineEvent[];
  failure: unknown;
  wake: () => void;
}

/** Hands events to every subscriber and keeps the last ones for a replay. */
export class EventHub {
  readonly #kept: EngineEvent[] = [];
  readonly #subscribers = new Set<Subscriber>();

  emit(event: EngineEvent): void {
    this.#kept.push(event);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const subscriber of this.#subscribers) {
      subscriber.queue.push(event);
      subscriber.wake();
    }
  }

  /** Every open subscription throws `failure` after what it already holds. */
  cut(failure: unknown): void {
    for (const subscriber of this.#subscribers) {
      subscriber.failure = failure;
      subscriber.wake();
    }
  }

  async *subscribe(since: Date | undefined, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const from = since?.getTime() ?? Number.POSITIVE_INFINITY;
    const subscriber: Subscriber = {
      queue: this.#kept.filter((event) => event.at.getTime() >= from),
      failure: undefined,
      wake: () => undefined,
    };
    this.#subscribers.add(subscriber);
    const onAbort = () => subscriber.wake();
    signal.addEventListener("abort", onAbort);
    try {
      while (true) {
        signal.throwIfAborted();
        const event = subscriber.queue.shift();
        if (event !== undefined) {
          yield event;
          continue;
        }
        if (subscriber.failure !== undefined) throw subscriber.failure;
        await new Promise<void>((resolve) => {
          subscriber.wake = resolve;
        });
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#subscribers.delete(subscriber);
    }
  }
}
