import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { Store } from "../../store/store.ts";
import { type Clock, repeat } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";

export interface RuntimeRetentionOptions {
  readonly store: Pick<Store, "runtimes">;
  readonly clock: Clock;
  readonly log: Log;
  /** Runtimes that ended before that go; 0: none ever does. */
  readonly days: number;
  readonly everyMs: number;
  /** Rows that one statement removes at most. */
  readonly batch: number;
}

/** Removes the rows of Runtimes whose end was kept long enough: at the start, then each `everyMs`. */
export function startRuntimeRetention(options: RuntimeRetentionOptions): AsyncDisposable {
  const scope = new Scope();
  const { clock, log, days, everyMs } = options;
  if (days === 0) return scope;
  const outage = new Outage(log, "runtime.purge");
  const purging = (async () => {
    await outage.run(() => purge(options, scope.signal));
    await repeat({ clock, everyMs }, () => outage.run(() => purge(options, scope.signal)), scope.signal);
  })();
  scope.add(() => purging);
  return scope;
}

async function purge(
  { store, log, days, batch }: RuntimeRetentionOptions,
  signal: AbortSignal,
): Promise<void> {
  let removed = 0;
  for (let last = batch; last === batch && !signal.aborted; removed += last)
    last = await store.runtimes.purge(days, batch);
  if (removed > 0) log.info({ op: "runtime.purge", ok: true, removed, days });
}
