/** What plugins tried and were refused, as audit events. */
import { describe, expect, it } from "vitest";
import type { TenantId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { aPoolKey, ensurePool } from "../harness/builders/a-pool-row.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";

describe.each(DATABASES)("on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function aPool(tenantId: TenantId, isShared = false) {
    const pkg = { ...aPackage(), identifier: `acme/${crypto.randomUUID()}:1.0.0@${"0".repeat(64)}` };
    await store.packages.put(pkg, { tenantId });
    const { installation } = await store.installations.acceptInstall(anInstall(pkg, tenantId));
    const key = aPoolKey();
    await store.installations.setPool(installation.id, key, []);
    await ensurePool(store, { key, tenantId, isShared, pkg });
    return { key, id: installation.id, identifier: pkg.identifier };
  }

  const recorded = async (filter: { tenantId?: TenantId }) =>
    (await store.events.list({ ...filter, kind: "runtime.foreign_call" }, { limit: 100 })).items;

  it("a call back for a foreign session is an event of the plugin's tenant, at most one in a minute", async () => {
    const tenantId = aTenant();
    const pool = await aPool(tenantId);
    expect(await store.events.recordForeignCall(pool.key)).toBe(true);
    expect(await store.events.recordForeignCall(pool.key)).toBe(false);
    expect(await recorded({ tenantId })).toMatchObject([
      { installationId: pool.id, subject: pool.identifier, result: "refused", actor: { keyId: "berth" } },
    ]);
    const other = aTenant();
    const another = await aPool(other);
    expect(await store.events.recordForeignCall(another.key)).toBe(true);
    expect(await recorded({ tenantId: other })).toHaveLength(1);
  });

  it("of a shared pool it names no tenant; of one that is gone there is none", async () => {
    const tenantId = aTenant();
    const { key, identifier } = await aPool(tenantId, true);
    expect(await store.events.recordForeignCall(key)).toBe(true);
    expect(await store.events.recordForeignCall(key)).toBe(false);
    expect(await recorded({ tenantId })).toEqual([]);
    const found = (await recorded({})).filter(({ subject }) => subject === identifier);
    expect(found).toMatchObject([{ tenantId: undefined, installationId: undefined }]);
    expect(await store.events.recordForeignCall("gone")).toBe(false);
  });
});
