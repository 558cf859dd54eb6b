/** Network policies that tenants choose for their installations. */
import { describe, expect, it } from "vitest";
import type { EgressPolicy } from "../../src/domain/egress.ts";
import { InstallationId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { aPoolKey, ensurePool } from "../harness/builders/a-pool-row.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";

const POLICY: EgressPolicy = { mode: "list", allow: ["api.example.com:443", "10.0.0.0/8"] };

describe.each(DATABASES)("network policies on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  /** On a pool of its own, or on a shared one. */
  async function installed(isShared = false) {
    const tenantId = aTenant();
    const name = `p${crypto.randomUUID().slice(0, 8)}`;
    const pkg = {
      ...aPackage(),
      pluginId: `acme/${name}`,
      name,
      identifier: `acme/${name}:1.0.0@${"0".repeat(64)}`,
    };
    await store.packages.put(pkg, { tenantId });
    const { installation } = await store.installations.acceptInstall(anInstall(pkg, tenantId));
    const key = aPoolKey();
    await store.installations.setPool(installation.id, key, []);
    await ensurePool(store, { key, tenantId, isShared, pkg });
    return { id: installation.id, key };
  }

  it("a policy is kept, found by its pool, and can be removed", async () => {
    const { id, key } = await installed();
    expect(await store.egress.find(id)).toBeUndefined();
    await store.egress.set(id, POLICY);
    expect(await store.egress.find(id)).toEqual(POLICY);
    expect((await store.egress.list()).get(key)).toEqual(POLICY);
    await store.egress.set(id, undefined);
    expect(await store.egress.find(id)).toBeUndefined();
    expect((await store.egress.list()).has(key)).toBe(false);
  });

  it("a policy has no effect on a shared pool", async () => {
    const { id, key } = await installed(true);
    await store.egress.set(id, POLICY);
    expect((await store.egress.list()).has(key)).toBe(false);
  });

  it("a policy for an installation that does not exist is refused", async () => {
    const id = InstallationId.parse(crypto.randomUUID());
    await expect(store.egress.set(id, POLICY)).rejects.toMatchObject({ code: "installation_not_found" });
  });
});
