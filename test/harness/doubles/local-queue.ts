import type { JobName, JobPayload } from "../../../src/queue/jobs.ts";
import type { JobHandlers, Queue } from "../../../src/queue/queue.ts";

/** A queue inside one process, without its embedded parts; jobs that are enqueued are kept in `jobs`. */
export class LocalQueue implements Queue {
  readonly jobs: { name: JobName; payload: unknown }[] = [];
  readonly #listeners = new Map<string, Set<(message: string) => void>>();
  readonly #reconnected: (() => void)[] = [];

  async enqueue<N extends JobName>(name: N, payload: JobPayload<N>): Promise<void> {
    this.jobs.push({ name, payload });
  }

  work(_handlers: JobHandlers): Promise<AsyncDisposable> {
    return Promise.reject(new Error("a LocalQueue only keeps jobs"));
  }

  onReconnect(listener: () => void): void {
    this.#reconnected.push(listener);
  }

  reconnect(): void {
    for (const listener of this.#reconnected) listener();
  }

  async ping(): Promise<void> {}

  async publish(topic: string, message: string): Promise<void> {
    for (const listener of this.#listeners.get(topic) ?? []) listener(message);
  }

  async subscribe(topic: string, listener: (message: string) => void): Promise<AsyncDisposable> {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    return {
      async [Symbol.asyncDispose]() {
        listeners.delete(listener);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
