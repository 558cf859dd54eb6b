import { toFault } from "../domain/fault.ts";
import type { Log } from "../observe/log.ts";
import type { Queue } from "../queue/queue.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../util/clock.ts";
import { Scope } from "../util/scope.ts";
import { Bell } from "./bell.ts";

export interface SweeperOptions {
  readonly store: Store;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly log: Log;
  /** Period between two sweeps. */
  readonly sweepMs: number;
  /** Tasks that one sweep hands over at most. */
  readonly batch: number;
}

/**
 * Hands over again what no worker holds: tasks whose enqueue failed, whose worker died, or whose delay is over. Runs
 * each `sweepMs` and at once when the queue comes back. Enqueueing a task twice costs nothing: the queue joins equal
 * jobs, and the task's lease lets one worker in.
 */
export function startSweeper(options: SweeperOptions): AsyncDisposable {
  const scope = new Scope();
  const bell = new Bell();
  options.queue.onReconnect(() => bell.ring());
  const running = (async () => {
    let failing = false;
    while (!scope.signal.aborted) {
      failing = await sweep(options, failing);
      await bell.wait(options.clock, options.sweepMs, scope.signal).catch(() => undefined);
    }
  })();
  scope.add(() => running);
  return scope;
}

/** Answers whether it failed; an outage is logged once, not once per sweep. */
async function sweep({ store, queue, log, batch }: SweeperOptions, failing: boolean): Promise<boolean> {
  try {
    for (const task of await store.tasks.listClaimable(batch)) {
      await queue.enqueue("task.run", { taskId: task.id, attempt: task.attempt });
    }
    if (failing) log.info({ op: "task.sweep", ok: true }, "sweeping again");
    return false;
  } catch (error) {
    const fault = toFault(error);
    if (!failing) log.warn({ op: "task.sweep", ok: false, code: fault.code, err: fault }, "sweeps fail");
    return true;
  }
}
