import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { Store } from "../../store/store.ts";
import { type Clock, repeat } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";

export interface RuntimeRetentionOptions {
  readonly store: Pick<Store, "runtimes">;
  readonly clock: Clock;
  readonly log: Log;
  /** Rows of runtimes that ended longer ago are removed; 0 keeps all. */
  readonly days: number;
  readonly everyMs: number;
  /** Most rows that one statement removes. */
  readonly batch: number;
}

/** Removes rows of runtimes that ended more than `days` ago: at the start, then every `everyMs`. A failure is logged and tried again. */
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
