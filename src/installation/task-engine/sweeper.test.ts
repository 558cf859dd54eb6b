import { expect, test } from "vitest";
import { LocalQueue } from "../../../test/harness/doubles/local-queue.ts";
import { partialRows } from "../../../test/harness/doubles/partial-rows.ts";
import { TaskId } from "../../domain/ids.ts";
import { silentLog } from "../../observe/log.ts";
import { JOBS } from "../../queue/jobs.ts";
import type { Store } from "../../store/store.ts";
import { systemClock } from "../../util/clock.ts";
import { startSweeper } from "./sweeper.ts";

test("a task that stays unclaimed is enqueued again under another name, at growing intervals", async () => {
  const waits = [0, 4_999, 5_000, 9_999, 10_000, 39_999, 40_000];
  const id = TaskId.parse(crypto.randomUUID());
  const found = waits.map((waitedMs) => ({ id, kind: "install" as const, attempt: 3, waitedMs }));
  const queue = new LocalQueue();
  const tasks = partialRows<Store["tasks"]>("tasks", { listClaimable: async () => found });
  const store = partialRows<Store>("store", { tasks });
  const settings = { sweepMs: 60_000, batch: 10, againMs: 5_000 };
  await using _sweeper = startSweeper({ store, queue, clock: systemClock, log: silentLog, ...settings });
  await expect.poll(() => queue.jobs.length).toBe(waits.length);
  const names = queue.jobs.map(({ payload }) =>
    JOBS["task.run"].dedupeKey(JOBS["task.run"].payload.parse(payload)),
  );
  expect(names).toEqual([0, 0, 1, 1, 2, 3, 4].map((again) => `${id}.3.${again}`));
});
