import { Fault, isFault } from "../domain/fault.ts";
import { withoutQuery } from "../domain/source.ts";
import { backoffMs } from "../util/backoff.ts";
import { systemClock } from "../util/clock.ts";
import { IdleClock } from "../util/idle-clock.ts";
import { connectionFault } from "./failures.ts";
import type { DownloadSettings } from "./sources.ts";

export interface Repeating {
  readonly url: string;
  /** Answers whether the try has brought something all the same. */
  readonly onFailure: (fault: Fault) => Promise<boolean> | boolean;
}

/** Tries again what may pass, each try under a clock of silence. The caller's signal ends it all. */
export async function repeat<T>(
  { idleMs, triesMax, retryFirstMs, retryMaxMs }: DownloadSettings,
  { url, onFailure }: Repeating,
  signal: AbortSignal,
  attempt: (clock: IdleClock) => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; ) {
    using clock = new IdleClock({ ms: idleMs, late: () => silent(url, idleMs) }, signal);
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

function silent(url: string, idleMs: number): Fault {
  return new Fault("source_unreachable", `${withoutQuery(url)} has been silent for ${idleMs} ms.`, {
    details: { clock: "idle", limit_ms: idleMs },
  });
}
