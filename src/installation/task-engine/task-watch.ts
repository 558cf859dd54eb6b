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
  /** How often the rows are read where no notification arrives. */
  readonly pollMs: number;
  /** Awaited before an `end` is yielded: whoever sees `end` already sees the task's effects. */
  readonly beforeEnd: () => Promise<void>;
}

/** Follows a task's events: notifications of the queue make it fast, reading the rows each `pollMs` makes it complete. */
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
        // Read before the events, so that the next round sees an end which is written in between.
        const task = await store.tasks.find(id);
        for (const event of await store.tasks.events(id, last)) {
          last = event.seq;
          if (isEnd(event)) await beforeEnd().catch(() => undefined);
          yield event;
          if (isEnd(event)) return;
        }
        // The task has ended, and its `end` event precedes `afterSeq`; or the installation and its tasks are gone.
        if (task === undefined || isTaskEnded(task.state)) return;
        await bell.wait(clock, pollMs, signal);
      }
    },
  };
}

function isEnd(event: TaskEvent): boolean {
  return event.type === "end";
}
