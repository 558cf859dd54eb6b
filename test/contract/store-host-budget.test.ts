/** The memory of a host and the quota of a tenant, as runtimes reserve it, on both databases. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { RuntimeId } from "../../src/domain/ids.ts";
import { NO_QUOTAS } from "../../src/domain/tenant-quotas.ts";
import type { Store } from "../../src/store/store.ts";
import { aPool } from "../harness/builders/a-pool.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { aTenant } from "../harness/samples/tenant-rows.ts";
import { hostMemoryContract } from "./store/host-memory.contract.ts";

const MIB = 1 << 20;

describe.each(DATABASES)("a host's memory on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  hostMemoryContract(() => ({
    pools: store.pools,
    runtimes: store.runtimes,
    reservedBy: async (tenantId) => (await store.tenants.quotas(tenantId)).usage.memoryBytes,
  }));

  it("is refused to a runtime that would exceed its tenant's quota, whatever the host has left", async () => {
    const tenantId = aTenant();
    const key = randomBytes(8).toString("hex");
    await store.pools.ensure(aPool({ key, tenantId }));
    const made: RuntimeId[] = [];
    for (const generation of [1, 2]) {
      const id = RuntimeId.parse(randomBytes(5).toString("hex"));
      const row = { id, poolKey: key, slot: 0, generation, containerName: `c-${id}`, specHash: "h" };
      await store.runtimes.create(row, { memoryBytes: 97 * MIB, budgetBytes: undefined });
      made.push(id);
    }
    await store.tenants.setQuotas(tenantId, { ...NO_QUOTAS, memoryBytesMax: 196 * MIB });
    const [first] = made;
    if (first === undefined) throw new Error("nothing was made");
    const raised = store.runtimes.reserve(first, 135 * MIB, { budgetBytes: undefined });
    await expect(raised).rejects.toMatchObject({ code: "quota_memory" });
    expect((await store.tenants.quotas(tenantId)).usage.memoryBytes).toBe(194 * MIB);
    for (const id of made) await store.runtimes.end(id, { reason: "stopped" });
  });
});
