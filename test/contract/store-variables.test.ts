/** Environment variables of installations' plugins, and their copies in pools. */
import { describe, expect, it } from "vitest";
import { InstallationId } from "../../src/domain/ids.ts";
import type { PluginVariable } from "../../src/domain/variables.ts";
import type { Store } from "../../src/store/store.ts";
import { anInstalledPlugin, aPoolKey } from "../harness/builders/a-pool-row.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";

const BY = { keyId: "admin", keyName: "admin", requestId: "r" };
const PLAIN: readonly PluginVariable[] = [{ name: "A", value: "1" }];
const sealedWith = (keyId: string): readonly PluginVariable[] => [
  { name: "B", sealed: `berth:1:${keyId}:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAA`, version: "v1" },
];

describe.each(DATABASES)("on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  const installed = () => anInstalledPlugin(store);

  it("a change updates the current pool and the next one, and a new pool starts with the variables", async () => {
    const { id, ensure } = await installed();
    const [pool, next] = [aPoolKey(), aPoolKey()];
    expect(await store.variables.replace({ id, variables: PLAIN, expected: [], by: BY })).toBe(true);
    await store.installations.setPool(id, pool, []);
    expect((await ensure(pool)).variables).toEqual(PLAIN);
    await store.installations.setNextPool(id, next);
    expect((await ensure(next)).variables).toEqual(PLAIN);
    const variables = [{ name: "A", value: "2" }];
    await store.variables.replace({ id, variables, expected: PLAIN, by: BY });
    expect(await store.variables.get(id)).toEqual(variables);
    for (const key of [pool, next]) expect((await store.pools.find(key))?.variables).toEqual(variables);
  });

  it("a shared pool gets no variables", async () => {
    const { id, ensure } = await installed();
    const key = aPoolKey();
    await store.installations.setPool(id, key, []);
    await ensure(key, true);
    await store.variables.replace({ id, variables: PLAIN, expected: [], by: BY });
    expect((await store.pools.find(key))?.variables).toEqual([]);
    expect((await ensure(key, true)).variables).toEqual([]);
  });

  it("a change that expects other variables than the stored ones changes nothing", async () => {
    const { id } = await installed();
    expect(await store.variables.replace({ id, variables: [], expected: PLAIN, by: BY })).toBe(false);
    expect(await store.variables.get(id)).toEqual([]);
  });

  it("secrets of other keys are listed with their owner, and only a change by an actor writes an event", async () => {
    const { id, tenantId, pluginId } = await installed();
    const variables = sealedWith("old");
    await store.variables.replace({ id, variables, expected: [], by: BY });
    const found = await store.variables.sealedOtherwise("new", undefined, 1000);
    expect(found).toContainEqual({ id, tenantId, pluginId, variables });
    await store.variables.replace({ id, variables: sealedWith("new"), expected: variables });
    const left = await store.variables.sealedOtherwise("new", undefined, 1000);
    expect(left.filter((one) => one.id === id)).toEqual([]);
    const { items } = await store.events.list({ tenantId }, { limit: 10 });
    expect(
      items.filter(({ kind }) => kind === "installation.variables").map(({ subject }) => subject),
    ).toEqual(["B"]);
  });

  it("an installation that does not exist is refused", async () => {
    const id = InstallationId.parse(crypto.randomUUID());
    const refused = { code: "installation_not_found" };
    await expect(store.variables.get(id)).rejects.toMatchObject(refused);
    await expect(store.variables.replace({ id, variables: [], expected: [] })).rejects.toMatchObject(refused);
  });
});
