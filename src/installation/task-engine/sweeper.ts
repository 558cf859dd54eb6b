import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";
import { Bell } from "../../util/bell.ts";
import { type Clock, untilPoll } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";

export interface SweeperOptions {
  readonly store: Store;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly log: Log;
  /** Period between two sweeps. */
  readonly sweepMs: number;
  /** Tasks that one sweep enqueues at most. */
  readonly batch: number;
  /** A task that no worker claims within this time is enqueued again; then after twice the time, and so on. */
  readonly againMs: number;
}

/**
 * Enqueues the tasks that no worker holds: whose enqueue failed, whose worker died, or whose delay is over. Runs each
 * `sweepMs`, and at once when the queue is back. Enqueueing a task twice costs nothing: the queue joins equal jobs, and
 * the task's lease lets one worker in. Until the queue notices that a worker died it also joins the job which that
 * worker had taken: so a task that stays unclaimed is enqueued under another name.
 */
export function startSweeper(options: SweeperOptions): AsyncDisposable {
  const scope = new Scope();
  const bell = new Bell();
  options.queue.onReconnect(() => bell.ring());
  const outage = new Outage(options.log, "task.sweep");
  const { clock, sweepMs } = options;
  const running = (async () => {
    while (!scope.signal.aborted) {
      await outage.run(() => sweep(options));
      await bell.wait(clock, untilPoll({ clock, everyMs: sweepMs }), scope.signal).catch(() => undefined);
    }
  })();
  scope.add(() => running);
  return scope;
}

async function sweep({ store, queue, batch, againMs }: SweeperOptions): Promise<void> {
  for (const task of await store.tasks.listClaimable(batch)) {
    const again = timesOver(task.waitedMs, againMs);
    const job = { taskId: task.id, attempt: task.attempt };
    await queue.enqueue("task.run", again === 0 ? job : { ...job, again });
  }
}

/** 0 before the period is over, 1 after it, 2 after twice the period, 3 after four times. */
function timesOver(waitedMs: number, periodMs: number): number {
  return waitedMs < periodMs ? 0 : Math.floor(Math.log2(waitedMs / periodMs)) + 1;
}
