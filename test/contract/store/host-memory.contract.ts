/** The memory of a host, as runtimes reserve it: living ones count, and concurrent requests never exceed it. */
import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { RuntimeId, type TenantId } from "../../../src/domain/ids.ts";
import type { Store } from "../../../src/store/store.ts";
import { aPool } from "../../harness/builders/a-pool.ts";
import { aTenant } from "../../harness/samples/tenant-rows.ts";

const MIB = 1 << 20;
const BUDGET = { memoryBytes: 64 * MIB, budgetBytes: 200 * MIB };

/** In which no other runtime lives. */
export interface HostMemorySubject extends Pick<Store, "pools" | "runtimes"> {
  /** Bytes that the tenant's living runtimes have reserved. */
  reservedBy(tenantId: TenantId): Promise<number>;
}

export function hostMemoryContract(subject: () => HostMemorySubject): void {
  async function poolOf(tenantId: TenantId): Promise<string> {
    const key = randomBytes(8).toString("hex");
    await subject().pools.ensure({ ...aPool({ key, tenantId }) });
    return key;
  }
  let generation = 0;
  const start = (poolKey: string, reservation?: typeof BUDGET) => {
    const id = RuntimeId.parse(randomBytes(5).toString("hex"));
    generation += 1;
    const row = { id, poolKey, slot: 0, generation, containerName: `c-${id}`, specHash: "h" };
    return subject().runtimes.create(row, reservation);
  };

  it("is reserved by live runtimes, refused with its numbers when exceeded, and released when a runtime ends", async () => {
    const tenant = aTenant();
    const [mine, others] = [await poolOf(tenant), await poolOf(aTenant())];
    const asked = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => start(index < 4 ? mine : others, BUDGET)),
    );
    const made = asked.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(made).toHaveLength(3);
    expect(await subject().runtimes.listLive()).toHaveLength(3);
    const ownBytes = made.filter(({ poolKey }) => poolKey === mine).length * 64 * MIB;
    await expect(start(mine, BUDGET)).rejects.toMatchObject({
      code: "host_full",
      message: expect.stringMatching(/3 running plugins reserve 192 MiB of 200 MiB .* asks for 64 MiB/),
      details: {
        budgetBytes: 200 * MIB,
        reservedBytes: 192 * MIB,
        runtimes: 3,
        askedBytes: 64 * MIB,
        reservedByTenant: ownBytes,
      },
    });
    const [first] = made;
    if (first === undefined) throw new Error("nothing was made");
    await subject().runtimes.setState(first.id, "draining");
    await expect(start(mine, BUDGET)).rejects.toMatchObject({ code: "host_full" });
    await subject().runtimes.end(first.id, { reason: "stopped" });
    await start(mine, BUDGET);
    for (const { id } of await subject().runtimes.listLive())
      await subject().runtimes.end(id, { reason: "stopped" });
  });

  it("is counted by the pool's limits for a runtime of an earlier release, and is unlimited without a budget", async () => {
    const key = await poolOf(aTenant());
    for (let started = 0; started < 3; started++) await start(key);
    await expect(start(key, BUDGET)).rejects.toMatchObject({ details: { reservedBytes: 288 * MIB } });
    await start(key);
    for (const { id } of await subject().runtimes.listLive())
      await subject().runtimes.end(id, { reason: "stopped" });
  });

  it("is checked again when a running runtime gets more, and released when it gets less", async () => {
    const tenant = aTenant();
    const key = await poolOf(tenant);
    const [first, second] = [await start(key, BUDGET), await start(key, BUDGET)];
    const judged = { budgetBytes: BUDGET.budgetBytes };
    const reserved = () => subject().reservedBy(tenant);
    const raised = await Promise.allSettled(
      [first, second].map(({ id }) => subject().runtimes.reserve(id, 130 * MIB, judged)),
    );
    expect(raised.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(raised.find(({ status }) => status === "rejected")).toMatchObject({
      reason: {
        code: "host_full",
        message: expect.stringMatching(/2 running plugins reserve 194 MiB of .* asks for 66 MiB more/),
        details: { reservedBytes: 194 * MIB, askedBytes: 66 * MIB },
      },
    });
    expect(await reserved()).toBe(194 * MIB);
    for (const { id } of [first, second]) await subject().runtimes.reserve(id, 60 * MIB, judged);
    expect(await reserved()).toBe(120 * MIB);
    // A reservation without a budget is written, whatever it exceeds.
    await subject().runtimes.reserve(first.id, 500 * MIB, undefined);
    expect(await reserved()).toBe(560 * MIB);
    await subject().runtimes.end(first.id, { reason: "stopped" });
    await subject().runtimes.reserve(first.id, 10 * MIB, judged);
    expect(await reserved()).toBe(60 * MIB);
  });
}
