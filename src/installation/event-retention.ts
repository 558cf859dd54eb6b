import type { Log } from "../observe/log.ts";
import { Outage } from "../observe/outage.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../util/clock.ts";
import { Scope } from "../util/scope.ts";

export interface EventRetentionOptions {
  readonly store: { readonly events: Pick<Store["events"], "purge"> };
  readonly clock: Clock;
  readonly log: Log;
  /** Days after which audit events are removed; 0: never. */
  readonly days: number;
  readonly everyMs: number;
  /** Rows that one statement removes at most. A round repeats it until no old row is left. */
  readonly batch: number;
}

/** Removes audit events that are older than `days`, at the start and then each `everyMs`. */
export function startEventRetention(options: EventRetentionOptions): AsyncDisposable {
  const scope = new Scope();
  const { clock, log, days, everyMs } = options;
  if (days === 0) return scope;
  const outage = new Outage(log, "event.purge");
  const running = (async () => {
    while (!scope.signal.aborted) {
      await outage.run(() => purge(options, scope.signal));
      await clock.sleep(everyMs, scope.signal).catch(() => undefined);
    }
  })();
  scope.add(() => running);
  return scope;
}

async function purge({ store, log, days, batch }: EventRetentionOptions, signal: AbortSignal): Promise<void> {
  let removed = 0;
  for (let last = batch; last === batch && !signal.aborted; removed += last)
    last = await store.events.purge(days, batch);
  if (removed > 0) log.info({ op: "event.purge", ok: true, removed, days });
}
