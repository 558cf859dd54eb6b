import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { Store } from "../../store/store.ts";
import { type Clock, untilPoll } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";

export interface ShownTasksOptions {
  readonly store: Pick<Store, "platformTasks">;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs: number;
  /** How long the platform sees a task after it has succeeded. */
  readonly succeededMs: number;
}

/**
 * Tidies the tasks that the platform sees, at the start and then each `everyMs`: removes those that succeeded
 * `succeededMs` ago, and fails those that an earlier daemon left unfinished. Failed ones stay until someone removes them.
 */
export function startShownTasks(options: ShownTasksOptions): AsyncDisposable {
  const { store, clock, log, everyMs, succeededMs } = options;
  const scope = new Scope();
  const outage = new Outage(log, "platform_task.tidy");
  const running = (async () => {
    while (!scope.signal.aborted) {
      await outage.run(async () => {
        const { platformTasks } = store;
        const [ended] = await Promise.all([platformTasks.endAbandoned(), platformTasks.purge(succeededMs)]);
        if (ended > 0) log.info({ op: "platform_task.abandoned", ok: true, ended });
      });
      await clock.sleep(untilPoll({ clock, everyMs }), scope.signal).catch(() => undefined);
    }
  })();
  scope.add(() => running);
  return scope;
}
