/** Tasks: one worker at a time holds a task, a late write is refused, and events have no gap. */
import { expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { accepting, LEASE_MS } from "./accepting.ts";

export function taskContract(store: () => Store): void {
  const { accepted, claimed } = accepting(store);

  it("lets only one of many workers claim a task", async () => {
    const { task } = await accepted();
    const taken = await Promise.all(
      Array.from({ length: 8 }, (_, n) => store().tasks.claim(task.id, `worker-${n}`, LEASE_MS)),
    );
    expect(taken.filter((claim) => claim !== undefined)).toHaveLength(1);
  });

  it("hands over a task whose lease has expired, and refuses later writes of the first holder", async () => {
    const { task } = await accepted();
    const stale = await store().tasks.claim(task.id, "worker-1", 0);
    const next = await store().tasks.claim(task.id, "worker-2", LEASE_MS);
    expect(next?.attempt).toBe((stale?.attempt ?? 0) + 1);
    const attempt = stale?.attempt ?? 0;
    const lost = { code: "lease_lost" };
    await expect(store().tasks.setStep(task.id, attempt, "building")).rejects.toMatchObject(lost);
    await expect(store().tasks.renew(task.id, attempt, LEASE_MS)).rejects.toMatchObject(lost);
    await expect(store().tasks.release(task.id, attempt, 0)).rejects.toMatchObject(lost);
    await expect(store().installations.publishReady(task.id, attempt)).rejects.toMatchObject(lost);
    expect((await store().tasks.find(task.id))?.state).toBe("queued");
  });

  it("hands over a task whose lease was written before the clock was set back", async () => {
    const { task } = await accepted();
    const ahead = await store().tasks.claim(task.id, "worker-1", 3_600_000);
    expect((await store().tasks.listClaimable(10_000)).map(({ id }) => id)).toContain(task.id);
    const next = await store().tasks.claim(task.id, "worker-2", LEASE_MS);
    expect(next?.attempt).toBe((ahead?.attempt ?? 0) + 1);
    expect((await store().tasks.listClaimable(10_000)).map(({ id }) => id)).not.toContain(task.id);
  });

  it("makes a released task claimable after its delay and not before", async () => {
    const asked = await accepted();
    const attempt = await claimed(asked);
    const isListed = async () =>
      (await store().tasks.listClaimable(10_000)).some(({ id }) => id === asked.task.id);
    expect(await isListed()).toBe(false);
    await store().tasks.release(asked.task.id, attempt, LEASE_MS);
    expect(await isListed()).toBe(false);
    expect(await store().tasks.claim(asked.task.id, "worker-2", LEASE_MS)).toBeUndefined();
    const other = await accepted();
    await store().tasks.release(other.task.id, await claimed(other), 0);
    expect(await store().tasks.claim(other.task.id, "worker-2", LEASE_MS)).toMatchObject({ attempt: 2 });
  });

  it("numbers events from 1 without a gap, even when they are written concurrently", async () => {
    const asked = await accepted();
    const attempt = await claimed(asked);
    await Promise.all(
      Array.from({ length: 6 }, (_, n) =>
        store().tasks.append(asked.task.id, attempt, [
          { type: "log", step: "building", text: `${n}a` },
          { type: "log", step: "building", text: `${n}b` },
        ]),
      ),
    );
    const events = await store().tasks.events(asked.task.id, 0);
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 13 }, (_, n) => n + 1));
    expect(events[0]).toMatchObject({ type: "step", step: "queued" });
    expect(await store().tasks.events(asked.task.id, 12)).toHaveLength(1);
  });

  it("ends with an `end` event and cannot be claimed afterwards", async () => {
    const asked = await accepted();
    await store().installations.publishReady(asked.task.id, await claimed(asked));
    const events = await store().tasks.events(asked.task.id, 0);
    expect(events.at(-1)).toMatchObject({ type: "end", state: "ready" });
    expect(await store().tasks.claim(asked.task.id, "worker-2", LEASE_MS)).toBeUndefined();
    expect((await store().tasks.find(asked.task.id))?.finishedAt).toBeInstanceOf(Date);
  });
}
