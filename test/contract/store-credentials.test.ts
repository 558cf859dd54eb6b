/** Credentials of providers, in rows. */
import { describe, expect, it } from "vitest";
import type { TenantId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";
import { credentialContract } from "./store/credentials.contract.ts";

const BY = { keyId: "admin", keyName: "admin", requestId: "r" };
const sealedWith = (keyId: string) => `berth:1:${keyId}:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAA`;

describe.each(DATABASES)("on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function install(tenantId: TenantId) {
    const pkg = aPackage();
    await store.packages.put(pkg, { tenantId });
    const { installation } = await store.installations.acceptInstall(anInstall(pkg, tenantId));
    return { installationId: installation.id, pluginId: pkg.pluginId };
  }
  async function keep(name = "a", sealed = "s") {
    const tenantId = aTenant();
    const id = store.credentials.newId();
    const of = {
      tenantId,
      kind: "tool",
      provider: "t",
      model: undefined,
      ...(await install(tenantId)),
    } as const;
    return await store.credentials.create({ ...of, id, name, fields: ["key"], sealed, by: BY });
  }

  credentialContract(() => ({ credentials: store.credentials, install }));

  it("credentials leave with their installation", async () => {
    const { tenantId, id, installationId } = await keep();
    const { task } = await store.installations.acceptUninstall(installationId);
    const claimed = await store.tasks.claim(task.id, "w", 60_000);
    await store.installations.publishRemoved(task.id, claimed?.attempt ?? 0);
    expect(await store.credentials.find({ tenantId, id })).toBeUndefined();
  });

  it("a plugin that is not installed gets none", async () => {
    const { tenantId, pluginId, kind, provider, model, name, fields, sealed } = await keep();
    const id = store.credentials.newId();
    const of = { tenantId, pluginId, kind, provider, model, name, fields, sealed };
    const installationId = crypto.randomUUID() as never;
    await expect(store.credentials.create({ ...of, id, installationId })).rejects.toMatchObject({
      code: "installation_not_found",
    });
  });

  it("each change by an actor writes an event with provider and name, and a new key's encryption writes none", async () => {
    const made = await keep("main", sealedWith("old"));
    const { tenantId, id, pluginId } = made;
    const sealed = sealedWith("new");
    const found = await store.credentials.sealedOtherwise("new", undefined, 1000);
    expect(found).toContainEqual(made);
    expect(await store.credentials.reseal({ id, sealed, expected: "something else" })).toBe(false);
    expect(await store.credentials.reseal({ id, sealed, expected: made.sealed })).toBe(true);
    const left = await store.credentials.sealedOtherwise("new", undefined, 1000);
    expect(left.filter((one) => one.id === id)).toEqual([]);
    await store.credentials.replace({ tenantId, id, fields: [], sealed, by: BY });
    await store.credentials.makeDefault({ tenantId, id, by: BY });
    await store.credentials.remove({ tenantId, id, by: BY });
    const { items } = await store.events.list({ tenantId }, { limit: 10 });
    const events = items.filter(({ kind }) => kind.startsWith("credential."));
    expect(events.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual(
      ["remove", "replace", "create"].map((verb) => `credential.${verb} ${pluginId}/t main`),
    );
  });
});
