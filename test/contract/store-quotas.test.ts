/** Quotas of a tenant, enforced in the transactions that accept and reserve. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { RuntimeId, TenantId } from "../../src/domain/ids.ts";
import { NO_QUOTAS } from "../../src/domain/tenant-quotas.ts";
import type { Store } from "../../src/store/store.ts";
import { aPool } from "../harness/builders/a-pool.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";

const MIB = 1 << 20;

describe.each(DATABASES)("quotas on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function install(tenantId: TenantId) {
    const pkg = aPackage();
    await store.packages.put(pkg, {});
    const limitsGranted = aPool().limits;
    return await store.installations.acceptInstall(anInstall(pkg, tenantId, { limitsGranted }));
  }

  it("of installations hold under concurrent installs, for their own tenant only", async () => {
    const tenantId = aTenant();
    await store.tenants.setQuotas(tenantId, { ...NO_QUOTAS, installationsMax: 2 });
    const asked = await Promise.allSettled(Array.from({ length: 5 }, () => install(tenantId)));
    const accepted = asked.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(accepted).toHaveLength(2);
    for (const one of asked)
      if (one.status === "rejected")
        expect(one.reason).toMatchObject({
          code: "quota_exceeded",
          details: { quota: "installations", max: 2, used: 2, asked: 1 },
        });
    expect(await store.tenants.quotas(tenantId)).toEqual({
      quotas: { ...NO_QUOTAS, installationsMax: 2 },
      usage: { installations: 2, memoryBytes: 0, diskBytes: 0 },
    });
    // What is there already needs no room, and other tenants have quotas of their own.
    const [first] = accepted;
    if (first === undefined) throw new Error("nothing was accepted");
    const { pluginId, identifier, limitsAsked, limitsGranted } = first.installation;
    const again = { tenantId, pluginId, identifier, limitsAsked, limitsGranted };
    const repeated = { ...again, source: "package", meta: {}, warnings: [] };
    expect(await store.installations.acceptInstall(repeated)).toMatchObject({ created: false });
    await install(aTenant());
    await store.tenants.setQuotas(tenantId, { ...NO_QUOTAS });
    await install(tenantId);
  });

  it("of memory refuse a start with their numbers, with and without a host budget", async () => {
    const tenantId = aTenant();
    const key = randomBytes(8).toString("hex");
    await store.pools.ensure(aPool({ key, tenantId }));
    await store.tenants.setQuotas(tenantId, { ...NO_QUOTAS, memoryBytesMax: 100 * MIB });
    let generation = 0;
    const start = (budgetBytes: number | undefined) => {
      const id = RuntimeId.parse(randomBytes(5).toString("hex"));
      generation += 1;
      const row = { id, poolKey: key, slot: 0, generation, containerName: `c-${id}`, specHash: "h" };
      return store.runtimes.create(row, { memoryBytes: 64 * MIB, budgetBytes });
    };
    const first = await start(undefined);
    for (const budgetBytes of [undefined, 1024 * MIB])
      await expect(start(budgetBytes)).rejects.toMatchObject({
        code: "quota_memory",
        message: expect.stringMatching(/memory quota is 100 MiB; .* reserve 64 MiB, .* asks for 64 MiB/),
        details: { quota: "memory_bytes", max: 100 * MIB, used: 64 * MIB, asked: 64 * MIB },
      });
    expect((await store.tenants.quotas(tenantId)).usage.memoryBytes).toBe(64 * MIB);
    await store.runtimes.end(first.id, { reason: "stopped" });
    await start(1024 * MIB);
  });

  it("of disk count plugin storage and uploads, and hold under concurrent writes", async () => {
    const tenantId = aTenant();
    const pkg = { ...aPackage(300) };
    await store.packages.put(pkg, { tenantId });
    await store.tenants.setQuotas(tenantId, { ...NO_QUOTAS, diskBytesMax: 1_000 });
    const reserve = (pluginId: string, bytes: number) =>
      store.storageSizes.reserve({ tenantId, pluginId, bytes });
    const asked = await Promise.allSettled(["a/1", "a/2", "a/3"].map((pluginId) => reserve(pluginId, 300)));
    expect(asked.map(({ status }) => status).sort()).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect(asked.find(({ status }) => status === "rejected")).toMatchObject({
      reason: {
        code: "quota_disk",
        details: { quota: "disk_bytes", max: 1_000, used: 900, asked: 300 },
      },
    });
    expect((await store.tenants.quotas(tenantId)).usage.diskBytes).toBe(900);
    await expect(store.packages.put(aPackage(101), { tenantId })).rejects.toMatchObject({
      code: "quota_disk",
    });
    // What it has uploaded already asks for no more, and what it keeps less of always fits.
    expect(await store.packages.put(pkg, { tenantId })).toMatchObject({ created: false });
    await store.tenants.setQuotas(tenantId, { ...NO_QUOTAS, diskBytesMax: 1 });
    const kept = ["a/1", "a/2", "a/3"].filter((_, index) => asked[index]?.status === "fulfilled");
    for (const pluginId of kept) await reserve(pluginId, 10);
    expect((await store.tenants.quotas(tenantId)).usage.diskBytes).toBe(320);
    expect((await store.tenants.listQuotas()).get(tenantId)).toMatchObject({ diskBytesMax: 1 });
    await store.packages.put(aPackage(5_000), { tenantId: aTenant() });
  });
});

describe.each(DATABASES)("default quotas on $name", ({ create }) => {
  let store: Store;
  useStore(
    create,
    (opened) => {
      store = opened;
    },
    { tenantDefaults: { installationsMax: 1, memoryBytesMax: 90 * MIB, diskBytesMax: 100, callsMax: 7 } },
  );

  it("apply to every tenant without quotas of its own", async () => {
    const tenantId = TenantId.parse(crypto.randomUUID());
    const install = async () => {
      const pkg = aPackage();
      await store.packages.put(pkg, {});
      const { pluginId, identifier, limitsAsked } = pkg;
      const asked = { tenantId, pluginId, identifier, limitsAsked, limitsGranted: aPool().limits };
      await store.installations.acceptInstall({ ...asked, source: "package", meta: {}, warnings: [] });
    };
    const key = randomBytes(8).toString("hex");
    await store.pools.ensure(aPool({ key, tenantId }));
    let generation = 0;
    const start = () => {
      generation += 1;
      const id = RuntimeId.parse(randomBytes(5).toString("hex"));
      const row = { id, poolKey: key, slot: 0, generation, containerName: `c-${id}`, specHash: "h" };
      return store.runtimes.create(row, { memoryBytes: 64 * MIB, budgetBytes: undefined });
    };
    const keep = () => store.storageSizes.reserve({ tenantId, pluginId: "a/1", bytes: 101 });
    await install();
    await expect(install()).rejects.toMatchObject({ code: "quota_exceeded", details: { max: 1 } });
    await start();
    await expect(start()).rejects.toMatchObject({ code: "quota_memory", details: { max: 90 * MIB } });
    await expect(keep()).rejects.toMatchObject({ code: "quota_disk", details: { max: 100 } });
    expect(store.tenants.defaultQuotas.callsMax).toBe(7);
    const own = { installationsMax: 2, memoryBytesMax: 128 * MIB, diskBytesMax: 200, callsMax: undefined };
    await store.tenants.setQuotas(tenantId, own);
    await Promise.all([install(), start(), keep()]);
    expect(await store.tenants.quotas(tenantId)).toEqual({
      quotas: own,
      usage: { installations: 2, memoryBytes: 128 * MIB, diskBytes: 101 },
    });
    // What is not named stays.
    await store.tenants.setQuotas(tenantId, { callsMax: 5 });
    expect((await store.tenants.quotas(tenantId)).quotas).toEqual({ ...own, callsMax: 5 });
    await store.tenants.setQuotas(tenantId, { sourceBuilds: "refuse" });
    expect((await store.tenants.quotas(tenantId)).quotas).toEqual({
      ...own,
      callsMax: 5,
      sourceBuilds: "refuse",
    });
  });
});
