/**
 * The Queue contract: delivery, nothing more. Truth is in the Store; a job says "look at this row", so losing one
 * costs a sweep and running one twice costs a look.
 */
import type { JobName, JobPayload } from "./jobs.ts";

export interface Queue extends AsyncDisposable {
  /**
   * Hands the job over within `timeoutMs` of the setting or throws `queue_unavailable`. A job with the same dedupe
   * key that has not finished yet swallows this one.
   */
  enqueue<N extends JobName>(name: N, payload: JobPayload<N>): Promise<void>;
  /** Starts working on jobs; disposing it waits for running handlers after aborting their signal. */
  work(handlers: JobHandlers): Promise<AsyncDisposable>;
  /** Calls back each time the connection comes back after a loss. */
  onReconnect(listener: () => void): void;
  /** Tells every process that uses this queue; best effort, unordered: receivers also poll the Store. */
  publish(topic: string, message: string): Promise<void>;
  subscribe(topic: string, listener: (message: string) => void): Promise<AsyncDisposable>;
  /** Resolves when the queue answers, in the time of `enqueue`; else `queue_unavailable`. */
  ping(): Promise<void>;
}

export type JobHandlers = {
  readonly [N in JobName]: (payload: JobPayload<N>, signal: AbortSignal) => Promise<void>;
};
