/** Files of installations' plugins, and what their pools know of them. */
import { describe, expect, it } from "vitest";
import { InstallationId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { anInstalledPlugin, aPoolKey } from "../harness/builders/a-pool-row.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";

const BY = { keyId: "admin", keyName: "admin", requestId: "r" };
const plain = (name: string, content = "aGk=") => ({ name, bytes: 2, sha256: "a".repeat(64), content });
const sealed = (name: string, keyId: string) => ({
  name,
  bytes: 2,
  sha256: undefined,
  content: `berth:1:${keyId}:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAA`,
});
const allow = () => undefined;

describe.each(DATABASES)("on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function installed() {
    const plugin = await anInstalledPlugin(store);
    const { id } = plugin;
    const put = (file: Parameters<Store["pluginFiles"]["put"]>[0]["file"]) =>
      store.pluginFiles.put({ id, file, allow, by: BY });
    return { ...plugin, put };
  }

  it("each change gives the current pool and the next one another version, a new pool starts with it, and the last removal ends it", async () => {
    const { id, tenantId, pluginId, ensure, put } = await installed();
    const [pool, next] = [aPoolKey(), aPoolKey()];
    await store.installations.setPool(id, pool, []);
    expect((await ensure(pool)).filesVersion).toBeUndefined();
    expect(await put(plain("b"))).toMatchObject({ name: "b", bytes: 2, changedAt: expect.any(Date) });
    const first = (await store.pools.find(pool))?.filesVersion;
    expect(first).toEqual(expect.any(String));
    await store.installations.setNextPool(id, next);
    expect((await ensure(next)).filesVersion).toBe(first);
    await put(plain("a"));
    await put(plain("b", "bm8="));
    expect(await store.pluginFiles.contentsOf({ tenantId, pluginId })).toMatchObject([
      plain("a"),
      plain("b", "bm8="),
    ]);
    const versions = await Promise.all(
      [pool, next].map(async (key) => (await store.pools.find(key))?.filesVersion),
    );
    expect(versions[0]).not.toBe(first);
    expect(versions[1]).toBe(versions[0]);
    const remove = (name: string) => store.pluginFiles.remove({ id, name, by: BY });
    expect([await remove("a"), await remove("a")]).toEqual([true, false]);
    expect((await store.pools.find(pool))?.filesVersion).toEqual(expect.any(String));
    expect(await remove("b")).toBe(true);
    expect((await store.pools.find(pool))?.filesVersion).toBeUndefined();
    expect(await store.pluginFiles.list(id)).toEqual([]);
    const { items } = await store.events.list({ tenantId }, { limit: 10 });
    const files = items.filter(({ kind }) => kind === "installation.files");
    expect(files.map(({ subject }) => subject)).toEqual(["b", "a", "b", "a", "b"]);
  });

  it("a change that is refused after a look at the other files changes nothing", async () => {
    const { id, put } = await installed();
    await put(plain("a"));
    const refuse = (stored: readonly { readonly name: string }[]) => {
      throw new Error(`beside ${stored.map(({ name }) => name).join()}`);
    };
    const change = store.pluginFiles.put({ id, file: plain("b"), allow: refuse, by: BY });
    await expect(change).rejects.toThrow("beside a");
    expect((await store.pluginFiles.list(id)).map(({ name }) => name)).toEqual(["a"]);
  });

  it("a shared pool gets no version", async () => {
    const { id, ensure, put } = await installed();
    const key = aPoolKey();
    await store.installations.setPool(id, key, []);
    await ensure(key, true);
    await put(plain("a"));
    expect((await store.pools.find(key))?.filesVersion).toBeUndefined();
    expect((await ensure(key, true)).filesVersion).toBeUndefined();
  });

  it("secrets of other keys are listed with their owner until they are encrypted again", async () => {
    const { tenantId, pluginId, put } = await installed();
    await put(sealed("k", "old"));
    await put(plain("p"));
    const mine = async () =>
      (await store.pluginFiles.sealedOtherwise("new", undefined, 1000)).filter(
        (one) => one.tenantId === tenantId,
      );
    const [found] = await mine();
    expect(found).toEqual({ id: expect.any(String), tenantId, pluginId, name: "k" });
    await store.pluginFiles.reseal(found?.id ?? "", () => sealed("k", "new").content);
    expect(await mine()).toEqual([]);
  });

  it("an installation that does not exist is refused", async () => {
    const id = InstallationId.parse(crypto.randomUUID());
    await expect(store.pluginFiles.put({ id, file: plain("a"), allow, by: BY })).rejects.toMatchObject({
      code: "installation_not_found",
    });
  });
});
