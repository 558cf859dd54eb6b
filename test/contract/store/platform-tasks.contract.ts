/** The platform's install tasks, as the platform sees and removes them. */
import { expect, it } from "vitest";
import { TaskId, type TenantId } from "../../../src/domain/ids.ts";
import type { BatchItem } from "../../../src/domain/install-task.ts";
import { newItem } from "../../../src/domain/install-task.ts";
import type { Store } from "../../../src/store/store.ts";
import { aTenant } from "../../harness/samples/tenant-rows.ts";

const A = `acme/a:1.0.0@${"a".repeat(64)}`;
const B = `acme/b:1.0.0@${"b".repeat(64)}`;
const PAGE = { page: 1, pageSize: 10 };

/** What needs no worker. */
type PlatformTasks = Pick<
  Store["platformTasks"],
  "accept" | "list" | "find" | "remove" | "removeAll" | "removeItem"
>;

export function platformTaskContract(tasks: () => PlatformTasks): void {
  const accept = async (tenantId: TenantId, ...identifiers: readonly string[]) => {
    const items = identifiers.map((identifier): BatchItem => ({ identifier, source: "package", meta: {} }));
    const shown = items.map(({ identifier, source }) =>
      newItem({ identifier, pluginId: identifier.split(":")[0] ?? "", source }, { label: { en_US: "L" } }),
    );
    return (await tasks().accept({ tenantId, items, shown })).task.id;
  };
  const itemsOf = async (tenantId: TenantId, id: TaskId) =>
    (await tasks().find(tenantId, id))?.items.map(({ identifier }) => identifier);

  it("a batch has its row under the id of its task, and a second request gets a row of its own", async () => {
    const tenantId = aTenant();
    const [one, two] = [await accept(tenantId, A, B), await accept(tenantId, A, B)];
    expect(one).not.toBe(two);
    const listed = await tasks().list(tenantId, PAGE);
    expect(listed.map(({ id }) => id)).toEqual([two, one]);
    expect(listed[1]).toMatchObject({ status: "running", total: 2, completed: 0, tenantId });
    expect(listed[1]?.items.map(({ identifier }) => identifier)).toEqual([A, B]);
    const second = await tasks().list(tenantId, { page: 2, pageSize: 1 });
    expect(second.map(({ id }) => id)).toEqual([one]);
    expect(await tasks().list(tenantId, { page: 9_000_000_000_000_000, pageSize: 256 })).toEqual([]);
  });

  it("a task is removed by its tenant only, and a repeated removal succeeds", async () => {
    const tenantId = aTenant();
    const id = await accept(tenantId, A);
    await tasks().remove(aTenant(), id);
    await tasks().removeAll(aTenant());
    expect(await tasks().find(aTenant(), id)).toBeUndefined();
    expect(await tasks().find(tenantId, id)).toMatchObject({ id });
    for (let times = 0; times < 2; times += 1) await tasks().remove(tenantId, id);
    expect(await tasks().find(tenantId, id)).toBeUndefined();
    await accept(tenantId, A);
    await tasks().removeAll(tenantId);
    expect(await tasks().list(tenantId, PAGE)).toEqual([]);
  });

  it("an item is removed from its own task only, and removing the last one removes the task", async () => {
    const tenantId = aTenant();
    const id = await accept(tenantId, A, B);
    await tasks().removeItem(aTenant(), id, B);
    await tasks().removeItem(tenantId, TaskId.parse(crypto.randomUUID()), B);
    await tasks().removeItem(tenantId, id, "acme/unknown:1.0.0@0");
    expect(await itemsOf(tenantId, id)).toEqual([A, B]);
    await tasks().removeItem(tenantId, id, A);
    expect(await itemsOf(tenantId, id)).toEqual([B]);
    await tasks().removeItem(tenantId, id, B);
    expect(await itemsOf(tenantId, id)).toBeUndefined();
  });
}
