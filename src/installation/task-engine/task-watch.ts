import { Fault } from "../../domain/fault.ts";
import type { TaskEvent } from "../../domain/task.ts";
import { isTaskEnded } from "../../domain/task.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";
import { Bell } from "../../util/bell.ts";
import type { Clock } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import type { TaskWatch } from "../contracts.ts";
import { taskTopic } from "./topics.ts";

export interface TaskWatchOptions {
  readonly store: Store;
  readonly queue: Queue;
  readonly clock: Clock;
  /** How often the rows are read where the queue tells nothing. */
  readonly pollMs: number;
  /** Awaited before an `end` is told: what the task has changed is then in force for whoever hears of it here. */
  readonly beforeEnd: () => Promise<void>;
}

/** Follows a task's events: the queue's publish gives speed, reading the rows each `pollMs` gives truth. */
export function createTaskWatch(options: TaskWatchOptions): TaskWatch {
  return {
    async *events(id, afterSeq, signal) {
      const { store, queue, clock, pollMs, beforeEnd } = options;
      if ((await store.tasks.find(id)) === undefined) {
        throw new Fault("task_not_found", `There is no task ${id}.`, {
          details: { field: "task", value: id },
        });
      }
      await using scope = new Scope();
      const bell = new Bell();
      const subscription = await queue.subscribe(taskTopic(id), () => bell.ring()).catch(() => undefined);
      if (subscription !== undefined) scope.use(subscription);
      let last = afterSeq;
      for (;;) {
        signal.throwIfAborted();
        // Read before the events, so that an end which is written in between is seen by the next round.
        const task = await store.tasks.find(id);
        for (const event of await store.tasks.events(id, last)) {
          last = event.seq;
          if (isEnd(event)) await beforeEnd().catch(() => undefined);
          yield event;
          if (isEnd(event)) return;
        }
        // Ended, and its `end` event lies before `afterSeq`; or the Installation and its tasks are gone.
        if (task === undefined || isTaskEnded(task.state)) return;
        await bell.wait(clock, pollMs, signal);
      }
    },
  };
}

function isEnd(event: TaskEvent): boolean {
  return event.type === "end";
}
