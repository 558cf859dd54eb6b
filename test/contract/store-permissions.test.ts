/** What the operator grants to an installation, in rows. */
import { describe, expect, it } from "vitest";
import { InstallationId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";

const BY = { keyId: "admin", keyName: "admin", requestId: "r" };

describe.each(DATABASES)("on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function stored() {
    const [tenantId, pkg] = [aTenant(), aPackage()];
    await store.packages.put(pkg, { tenantId });
    return { tenantId, pkg };
  }

  it("a choice replaces the earlier one, is seen as a change of the installation, and writes an event", async () => {
    const { tenantId, pkg } = await stored();
    const { installation } = await store.installations.acceptInstall(anInstall(pkg, tenantId));
    const { id } = installation;
    expect(installation.permissions).toEqual({});
    const { at } = await store.installations.changedSince(undefined);
    await store.permissions.set(id, { tool: false, storage: true }, BY);
    await store.permissions.set(id, { "model.llm": false }, BY);
    const { items } = await store.installations.changedSince(at);
    expect(items.find((one) => one.id === id)?.permissions).toEqual({ "model.llm": false });
    const events = await store.events.list({ tenantId, kind: "installation.permissions" }, { limit: 10 });
    expect(events.items.map(({ subject }) => subject)).toEqual([
      "model.llm=refused",
      "tool=refused,storage=granted",
    ]);
    const nowhere = InstallationId.parse(crypto.randomUUID());
    await expect(store.permissions.set(nowhere, {})).rejects.toMatchObject({
      code: "installation_not_found",
    });
  });

  it("an install can choose, which is an event, and a repeated one does not seem to have chosen otherwise", async () => {
    const { tenantId, pkg } = await stored();
    const install = (permissions?: { tool: boolean }) =>
      store.installations.acceptInstall(anInstall(pkg, tenantId, permissions && { permissions }));
    expect((await install({ tool: false })).installation.permissions).toEqual({ tool: false });
    expect((await install({ tool: false })).created).toBe(false);
    expect((await install()).created).toBe(false);
    await expect(install({ tool: true })).rejects.toMatchObject({
      code: "conflict",
      details: { field: "permissions", accepted: { tool: false } },
    });
    const events = await store.events.list({ tenantId, kind: "installation.permissions" }, { limit: 10 });
    expect(events.items.map(({ subject }) => subject)).toEqual(["tool=refused"]);
  });
});
