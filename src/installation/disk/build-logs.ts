/** The disk area of finished tasks and their logs. */
import type { Store } from "../../store/store.ts";
import type { Area, Found } from "./area.ts";

export interface BuildLogAreaDeps {
  readonly store: Pick<Store, "disk">;
  readonly settings: {
    readonly budgetBytes: number;
    /** Finished tasks older than that are removed with all their events; 0: never. */
    readonly taskDays: number;
  };
}

const REST = "steps and ends of tasks";

export function createBuildLogArea({ store, settings }: BuildLogAreaDeps): Area {
  const { tasks } = store.disk;
  const { taskDays } = settings;
  let old: ReadonlySet<string> = new Set();
  return {
    kind: "build_logs",
    budgetBytes: settings.budgetBytes,
    // The history is worth its space: it goes by age, or where the budget is exceeded.
    isEmptiedWhenAsked: false,
    survey: async () => {
      const listed = await tasks.list(taskDays);
      old = new Set(listed.flatMap(({ taskId, isOld }) => (isOld ? [taskId] : [])));
      const found = listed.flatMap((task): Found[] => {
        const { taskId, kind, identifier, finishedAt, isOld, bytes, logBytes } = task;
        if (!isOld && logBytes === 0) return [];
        return [
          {
            key: taskId,
            what: `${isOld ? "" : "log of "}task ${taskId} (${kind}${identifier === undefined ? "" : ` ${identifier}`})`,
            bytes: isOld ? bytes : logBytes,
            usedAt: finishedAt ?? new Date(),
            heldBy: finishedAt === undefined ? ["the running task"] : [],
            garbage: isOld ? `it ended more than ${taskDays} days ago` : undefined,
          },
        ];
      });
      const rest = listed.reduce((n, { isOld, bytes, logBytes }) => n + (isOld ? 0 : bytes - logBytes), 0);
      const by = taskDays === 0 ? "the history, which has no age limit" : `the history of ${taskDays} days`;
      return [...found, { key: REST, what: REST, bytes: rest, usedAt: new Date(), heldBy: [by] }];
    },
    take: async ({ key }) => {
      const isGone = old.has(key) ? await tasks.take(key) : await tasks.takeLog(key);
      return isGone ? undefined : "it is needed again";
    },
  };
}
