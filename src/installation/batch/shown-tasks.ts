import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";

export interface ShownTasksOptions {
  readonly store: Pick<Store, "platformTasks">;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs: number;
  /** So long the platform sees a task that has succeeded. */
  readonly succeededMs: number;
}

/**
 * Tidies what the platform sees of its tasks, at the start and then each `everyMs`: those that have succeeded vanish in
 * time, failed ones stay until somebody removes them, and what an earlier daemon left unfinished ends as failed.
 */
export function startShownTasks(options: ShownTasksOptions): AsyncDisposable {
  const { store, clock, log, everyMs, succeededMs } = options;
  const scope = new Scope();
  const outage = new Outage(log, "platform_task.tidy");
  const running = (async () => {
    while (!scope.signal.aborted) {
      await outage.run(async () => {
        const ended = await store.platformTasks.endAbandoned();
        if (ended > 0) log.info({ op: "platform_task.abandoned", ok: true, ended });
        await store.platformTasks.purge(succeededMs);
      });
      await clock.sleep(everyMs, scope.signal).catch(() => undefined);
    }
  })();
  scope.add(() => running);
  return scope;
}
