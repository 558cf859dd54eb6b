import { describe, expect, it } from "vitest";
import { TaskId, TenantId } from "../../src/domain/ids.ts";
import type { AcceptTask } from "../../src/store/contracts/tasks.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";

function aFetch(changes: Partial<AcceptTask> = {}): AcceptTask {
  const tenantId = TenantId.parse(crypto.randomUUID());
  return {
    kind: "fetch",
    tenantId,
    input: { source: { type: "url", url: "https://example.org/a" } },
    ...changes,
  };
}

describe.each(DATABASES)("tasks without an installation on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function end(id: TaskId): Promise<void> {
    const claimed = await store.tasks.claim(id, "worker", 60_000);
    await store.tasks.finish(id, claimed?.attempt ?? 0, {
      state: "failed",
      cause: { code: "not_found", message: "There is none." },
      markInstallation: false,
    });
  }

  it("are shared by ten identical concurrent requests, and a later request gets a new task", async () => {
    const request = aFetch();
    const answers = await Promise.all(Array.from({ length: 10 }, () => store.tasks.accept(request)));
    expect(new Set(answers.map(({ task }) => task.id)).size).toBe(1);
    expect(answers.filter(({ created }) => created)).toHaveLength(1);
    const [first] = answers;
    expect(first?.task).toMatchObject({ kind: "fetch", input: request.input, installationId: undefined });
    await end(first?.task.id ?? TaskId.parse(crypto.randomUUID()));
    expect(await store.tasks.accept(request)).toMatchObject({ created: true });
  });

  it("differ for another input, another kind or another tenant", async () => {
    const request = aFetch();
    const others = [request, aFetch({ tenantId: request.tenantId, input: { other: 1 } }), aFetch()];
    const bundle = { ...request, kind: "bundle" as const };
    const answers = [];
    for (const each of [...others, bundle]) answers.push(await store.tasks.accept(each));
    expect(new Set(answers.map(({ task }) => task.id)).size).toBe(4);
  });

  it("answer an Idempotency-Key with the first answer, even after the task has ended", async () => {
    const idempotency = { holder: "key", key: crypto.randomUUID(), requestHash: "h" };
    const request = aFetch({ idempotency });
    const first = await store.tasks.accept(request);
    await end(first.task.id);
    expect(await store.tasks.accept(request)).toEqual(first);
    const other = { ...request, idempotency: { ...idempotency, requestHash: "other" } };
    await expect(store.tasks.accept(other)).rejects.toMatchObject({ code: "idempotency_mismatch" });
  });

  it("list their subtasks oldest first, and are cancelled by the removal of the tenant", async () => {
    const { task } = await store.tasks.accept(aFetch());
    const { tenantId } = task;
    const below = [];
    for (const place of [1, 2, 3])
      below.push(await store.tasks.accept(aFetch({ tenantId, parentId: task.id, input: { place } })));
    const ids = (await store.tasks.children(task.id)).map(({ id }) => id);
    expect(ids).toEqual(below.map((child) => child.task.id));
    await store.tenants.acceptRemoval(tenantId);
    expect(await store.tasks.find(task.id)).toMatchObject({ state: "cancelled" });
    await expect(store.tasks.accept(aFetch({ tenantId }))).rejects.toMatchObject({ code: "conflict" });
  });
});
