import { Fault, isFault } from "../domain/fault.ts";
import { withoutQuery } from "../domain/source.ts";
import { backoffMs } from "../util/backoff.ts";
import { systemClock } from "../util/clock.ts";
import { connectionFault } from "./failures.ts";
import type { DownloadSettings } from "./sources.ts";

export interface Repeating {
  readonly url: string;
  /** Answers whether the failed try made progress. */
  readonly onFailure: (fault: Fault) => Promise<boolean> | boolean;
}

/**
 * Retries `source_unreachable` until `triesMax` tries in a row made no progress, each under its own idle clock. Throws the
 * last Fault, any other at once, and the signal's reason.
 */
export async function repeat<T>(
  { idleMs, triesMax, retryFirstMs, retryMaxMs }: DownloadSettings,
  { url, onFailure }: Repeating,
  signal: AbortSignal,
  attempt: (clock: IdleClock) => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; ) {
    using clock = new IdleClock({ idleMs, url }, signal);
    try {
      return await attempt(clock);
    } catch (error) {
      signal.throwIfAborted();
      const fault = connectionFault(clock.signal.aborted ? clock.signal.reason : error, url);
      if (!isFault(fault, "source_unreachable")) throw fault;
      failures = (await onFailure(fault)) ? 1 : failures + 1;
      if (failures >= triesMax) throw fault;
    }
    await systemClock.sleep(backoffMs(failures, { firstMs: retryFirstMs, maxMs: retryMaxMs }), signal);
  }
}

/** Its signal aborts with `source_unreachable` after `idleMs` without a byte. */
export class IdleClock implements Disposable {
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;

  constructor({ idleMs, url }: { readonly idleMs: number; readonly url: string }, signal: AbortSignal) {
    const silent = new AbortController();
    this.#timer = setTimeout(() => {
      const why = `${withoutQuery(url)} has been silent for ${idleMs} ms.`;
      silent.abort(new Fault("source_unreachable", why, { details: { clock: "idle", limit_ms: idleMs } }));
    }, idleMs);
    this.signal = AbortSignal.any([signal, silent.signal]);
  }

  /** To be called for each chunk that arrives. */
  onBytes(): void {
    this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
