import { describe, expect, it } from "vitest";
import { TaskId, TenantId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";

const LEASE_MS = 60_000;
const LONG_MS = 3_600_000;
const CAUSE = { code: "not_found", message: "There is none." } as const;

describe.each(DATABASES)("tasks that wait for other tasks on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  const tenantId = TenantId.parse(crypto.randomUUID());
  async function aTask(parentId?: TaskId): Promise<TaskId> {
    const parent = parentId === undefined ? {} : { parentId };
    const asked = { kind: "fetch", tenantId, input: { place: crypto.randomUUID() }, ...parent } as const;
    return (await store.tasks.accept(asked)).task.id;
  }
  async function claim(id: TaskId): Promise<number> {
    return (await store.tasks.claim(id, "worker", LEASE_MS))?.attempt ?? -1;
  }
  async function end(id: TaskId, attempt?: number): Promise<void> {
    const finish = { state: "failed", cause: CAUSE, markInstallation: false } as const;
    await store.tasks.finish(id, attempt ?? (await claim(id)), finish);
  }
  const wait = (id: TaskId, attempt: number, on: readonly TaskId[], delayMs = LONG_MS) =>
    store.tasks.wait(id, attempt, { on, delayMs, isEnding: false });
  const isClaimable = async (id: TaskId) =>
    (await store.tasks.listClaimable(1000)).some((task) => task.id === id);

  it("cannot be claimed until the tasks that they wait for have ended", async () => {
    const waiter = await aTask();
    const child = await aTask(waiter);
    const attempt = await claim(waiter);
    expect(await wait(waiter, attempt, [child])).toBe(true);
    expect(await claim(waiter)).toBe(-1);
    expect(await isClaimable(waiter)).toBe(false);
    await expect(store.tasks.renew(waiter, attempt, LEASE_MS)).rejects.toMatchObject({ code: "lease_lost" });

    await end(child);
    expect(await store.tasks.waiters(child)).toEqual([{ id: waiter, attempt }]);
    expect(await isClaimable(waiter)).toBe(true);
    expect(await claim(waiter)).toBe(attempt + 1);
    expect(await store.tasks.waiters(child)).toEqual([]);
  });

  it("can be claimed at once if the other tasks have ended, are gone or were not named", async () => {
    const [waiter, ended] = [await aTask(), await aTask()];
    await end(ended);
    const gone = TaskId.parse(crypto.randomUUID());
    for (const on of [[ended], [gone], []]) expect(await wait(waiter, await claim(waiter), on)).toBe(false);
    expect(await isClaimable(waiter)).toBe(true);
  });

  it("are all released by the end of a shared task, and by no other task", async () => {
    const [first, second, third] = [await aTask(), await aTask(), await aTask()];
    const [shared, other] = [await aTask(first), await aTask(third)];
    await wait(first, await claim(first), [shared]);
    await wait(second, await claim(second), [shared]);
    await wait(third, await claim(third), [other]);
    await end(shared);
    expect(new Set((await store.tasks.waiters(shared)).map(({ id }) => id))).toEqual(
      new Set([first, second]),
    );
    expect(await isClaimable(third)).toBe(false);
  });

  it("are released by the first task that fails, while others are still running", async () => {
    const waiter = await aTask();
    const [failing, slow] = [await aTask(waiter), await aTask(waiter)];
    await wait(waiter, await claim(waiter), [failing, slow]);
    await end(failing);
    expect(await isClaimable(waiter)).toBe(true);
  });

  it("can be claimed after their deadline in any case", async () => {
    const waiter = await aTask();
    await wait(waiter, await claim(waiter), [await aTask()], 50);
    await expect.poll(() => isClaimable(waiter), { timeout: 10_000, interval: 20 }).toBe(true);
  });

  it("never miss an end that happens while they start to wait", async () => {
    for (let round = 0; round < 20; round += 1) {
      const waiter = await aTask();
      const child = await aTask(waiter);
      const [waits, ends] = [await claim(waiter), await claim(child)];
      await Promise.all([wait(waiter, waits, [child]), end(child, ends)]);
      expect(await isClaimable(waiter)).toBe(true);
    }
  });

  it("cannot wait without holding their lease", async () => {
    const waiter = await aTask();
    const attempt = await claim(waiter);
    await expect(wait(waiter, attempt - 1, [await aTask()])).rejects.toMatchObject({
      code: "lease_lost",
    });
  });

  it("cannot wait once their end is requested, unless they are ending", async () => {
    const waiter = await aTask();
    const child = await aTask(waiter);
    const attempt = await claim(waiter);
    await store.tasks.cancel(waiter);
    expect(await wait(waiter, attempt, [child])).toBe(false);
    const how = { on: [child], delayMs: LONG_MS, isEnding: true };
    expect(await store.tasks.wait(waiter, await claim(waiter), how)).toBe(true);
    expect(await isClaimable(waiter)).toBe(false);
  });

  it("stop waiting when their end is requested, and only one request is kept", async () => {
    const waiter = await aTask();
    await wait(waiter, await claim(waiter), [await aTask(waiter)]);
    const asked = await store.tasks.cancel(waiter);
    expect(asked).toMatchObject({ ending: { state: "cancelled", cause: { code: "cancelled" } } });
    expect(await isClaimable(waiter)).toBe(true);
    expect(await store.tasks.cancel(waiter)).toEqual(asked);
    const { items } = await store.events.list({ tenantId, kind: "task.cancel" }, { limit: 10 });
    expect(items.filter(({ taskId }) => taskId === waiter)).toHaveLength(1);
    await end(waiter);
    await expect(store.tasks.cancel(waiter)).rejects.toMatchObject({
      code: "conflict",
      details: { state: "failed" },
    });
  });

  it("accept no new subtask once their end is requested", async () => {
    const waiter = await aTask();
    await claim(waiter);
    await store.tasks.cancel(waiter);
    await expect(aTask(waiter)).rejects.toMatchObject({ code: "lease_lost" });
  });

  it("keep the first requested ending", async () => {
    const id = await aTask();
    const attempt = await claim(id);
    const first = { state: "failed", cause: CAUSE } as const;
    const second = { state: "cancelled", cause: { code: "cancelled", message: "Asked for." } } as const;
    expect(await store.tasks.setEnding(id, attempt, first)).toEqual(first);
    expect(await store.tasks.setEnding(id, attempt, second)).toEqual(first);
    expect(await store.tasks.find(id)).toMatchObject({ ending: first, finishedAt: undefined });
  });
});
