/** Endpoints: each with a hook of its own, visible to its tenant only, changed over what a change was made from. */
import { expect, it } from "vitest";
import type { TenantId } from "../../../src/domain/ids.ts";
import type { EndpointRecord } from "../../../src/store/contracts/endpoints.ts";
import type { Store } from "../../../src/store/store.ts";
import { aTenant } from "../../harness/samples/tenant-rows.ts";

interface Plugin {
  readonly tenantId: TenantId;
  readonly pluginId: string;
}

export interface EndpointSubject {
  /** All but the search for settings that another key sealed. */
  readonly endpoints: Omit<Store["endpoints"], "sealedOtherwise" | "reseal">;
  install(tenantId: TenantId): Promise<Plugin>;
}

export function endpointContract(subject: () => EndpointSubject): void {
  const endpoints = () => subject().endpoints;
  const setUp = ({ tenantId, pluginId }: Plugin, name = "a hook") => {
    const id = endpoints().newId();
    return endpoints().create({ id, tenantId, pluginId, userId: "u", name, settings: { a: 1 } });
  };

  it("a new endpoint is enabled and is found by its own hook", async () => {
    const plugin = await subject().install(aTenant());
    const made = await setUp(plugin);
    const { tenantId, pluginId } = plugin;
    expect(made).toMatchObject({ tenantId, pluginId, name: "a hook", userId: "u", enabled: true });
    expect(made.hookId).toMatch(/^[a-z0-9]{16}$/);
    expect(made.settings).toEqual({ a: 1 });
    expect(await endpoints().findByHook(made.hookId)).toEqual(made);
    expect(await endpoints().find(made)).toEqual(made);
    expect((await setUp(plugin)).hookId).not.toBe(made.hookId);
  });

  it("another tenant's endpoint is treated as if it did not exist", async () => {
    const plugin = await subject().install(aTenant());
    const made = await setUp(plugin);
    const theirs = { ...made, tenantId: aTenant() };
    expect(await endpoints().find(theirs)).toBeUndefined();
    expect(await endpoints().remove(theirs)).toBeUndefined();
    expect(await endpoints().setEnabled({ ...theirs, enabled: false })).toBeUndefined();
    const change = { ...theirs, name: "theirs", settings: {}, expected: made.revision };
    expect(await endpoints().update(change)).toBeUndefined();
    expect(await endpoints().find(made)).toEqual(made);
  });

  it("a change is written only over the settings it was made from", async () => {
    const plugin = await subject().install(aTenant());
    const made = await setUp(plugin);
    const change = { ...made, name: "new", settings: { b: "\u0000 ü" }, expected: made.revision };
    const changed = await endpoints().update(change);
    expect(changed).toMatchObject({ name: "new", settings: { b: "\u0000 ü" }, hookId: made.hookId });
    expect(await endpoints().update({ ...change, name: "late" })).toBeUndefined();
    expect((await endpoints().find(made))?.name).toBe("new");
  });

  it("lists are newest first, by page number and by cursor, for a tenant or for one of its plugins", async () => {
    const plugin = await subject().install(aTenant());
    const other = await subject().install(plugin.tenantId);
    const made: EndpointRecord[] = [];
    for (const owner of [plugin, other, plugin, plugin]) made.push(await setUp(owner));
    const { tenantId, pluginId } = plugin;
    const newest = made.map(({ id }) => id).reverse();
    const idsOf = (found: readonly EndpointRecord[]) => found.map(({ id }) => id);
    const byNumber = (number: number, size: number) =>
      endpoints().listPage({ tenantId }, { number, size }).then(idsOf);
    expect([await byNumber(1, 3), await byNumber(2, 3), await byNumber(3, 3)]).toEqual([
      ...[newest.slice(0, 3), newest.slice(3), []],
    ]);
    // as the daemon does: a page below the first is the first, and no size means the largest
    expect([await byNumber(-1, 2), await byNumber(1, -1)]).toEqual([newest.slice(0, 2), newest]);
    const first = await endpoints().list({ tenantId }, { limit: 3 });
    const cursor = first.nextCursor ?? "";
    const second = await endpoints().list({ tenantId }, { limit: 3, cursor });
    expect([...idsOf(first.items), ...idsOf(second.items)]).toEqual(newest);
    expect(second.nextCursor).toBeUndefined();
    const ofPlugin = await endpoints().list({ tenantId, pluginId }, { limit: 10 });
    expect(idsOf(ofPlugin.items)).toEqual(newest.filter((id) => id !== made[1]?.id));
  });

  it("an endpoint for a plugin that is not installed is refused", async () => {
    const absent = { tenantId: aTenant(), pluginId: "acme/absent" };
    await expect(setUp(absent)).rejects.toMatchObject({ code: "installation_not_found" });
  });

  it("an endpoint can be enabled and disabled repeatedly, and is gone once it is removed", async () => {
    const made = await setUp(await subject().install(aTenant()));
    for (const enabled of [false, false, true, true])
      expect(await endpoints().setEnabled({ ...made, enabled })).toMatchObject({ id: made.id, enabled });
    expect((await endpoints().remove(made))?.id).toBe(made.id);
    expect(await endpoints().remove(made)).toBeUndefined();
    expect(await endpoints().setEnabled({ ...made, enabled: false })).toBeUndefined();
    expect(await endpoints().findByHook(made.hookId)).toBeUndefined();
  });
}
