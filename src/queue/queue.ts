/**
 * The queue contract: delivers jobs and messages, and holds no state. Rows of the store are the truth; a job only names
 * one, so a lost job costs the time until the next sweep, and a repeated one costs a query.
 */
import type { JobName, JobPayload } from "./jobs.ts";

export interface Queue extends AsyncDisposable {
  /**
   * Enqueues the job, or throws `queue_unavailable` after the adapter's time limit. An unfinished job with the same dedupe
   * key swallows this one.
   */
  enqueue<N extends JobName>(name: N, payload: JobPayload<N>): Promise<void>;
  /** Starts to run jobs. Disposing it aborts the signal of running handlers, then waits for them. */
  work(handlers: JobHandlers): Promise<AsyncDisposable>;
  /** Calls the listener each time the connection is back after a loss. */
  onReconnect(listener: () => void): void;
  /** Sends a message to every process that uses this queue. Best effort, unordered: receivers also poll the store. */
  publish(topic: string, message: string): Promise<void>;
  subscribe(topic: string, listener: (message: string) => void): Promise<AsyncDisposable>;
  /** Resolves when the queue answers; throws `queue_unavailable` after the time limit of `enqueue`. */
  ping(): Promise<void>;
}

export type JobHandlers = {
  readonly [N in JobName]: (payload: JobPayload<N>, signal: AbortSignal) => Promise<void>;
};
