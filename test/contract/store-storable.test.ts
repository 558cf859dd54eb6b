/** Text that no database can store costs neither its own row nor another one. */
import { describe, expect, it } from "vitest";
import type { FaultJson } from "../../src/domain/fault.ts";
import { RuntimeId, TaskId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant, LIMITS } from "../harness/samples/tenant-rows.ts";

/** A character that no database stores, two unpaired surrogates, and the escape as letters. */
const TEXT = "a\0b \udc00\ud800 \\u0000";
const KEPT = "a\ufffdb \ufffd\ufffd \\u0000";
const cause: FaultJson = { code: "plugin_crashed", message: TEXT, details: { logs: [TEXT], [TEXT]: 1 } };
const kept = { code: "plugin_crashed", message: KEPT, details: { logs: [KEPT], [KEPT]: 1 } };

/** A cause that cannot be written at all. */
const unwritable: FaultJson = { code: "start_crashed", message: "m", details: { size: 1n } };
const bare = { code: "start_crashed", message: expect.stringContaining("could not be stored") };

describe.each(DATABASES)("text that cannot be stored on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function aPool() {
    const pkg = aPackage();
    const tenantId = aTenant();
    const key = pkg.name;
    await store.packages.put(pkg, { tenantId });
    await store.pools.ensure({
      key,
      tenantId,
      pluginId: pkg.pluginId,
      identifier: pkg.identifier,
      imageKey: "k",
      imageRef: "i",
      runner: { entrypoint: "main" },
      limits: LIMITS,
      wanted: true,
    });
    return { pkg, tenantId, key };
  }

  async function aTask() {
    const { pkg, tenantId, key } = await aPool();
    const { installation, task } = await store.installations.acceptInstall(
      anInstall(pkg, tenantId, { meta: { [TEXT]: TEXT }, warnings: [TEXT] }),
    );
    const attempt = (await store.tasks.claim(task.id, "w", 60_000))?.attempt ?? 0;
    return { installation, id: task.id, attempt, key };
  }

  it.each([
    { name: "with characters that no database stores is written with replacements", cause, kept },
    { name: "that cannot be serialized is written as its code only", cause: unwritable, kept: bare },
  ])("a cause $name", async ({ cause: written, kept: read }) => {
    const { installation, id, attempt, key } = await aTask();
    await store.pools.setState(key, { state: "backoff", cause: written, nextStartAt: undefined });
    const asked = await store.pools.askStart(key);
    await store.pools.answerStart(key, asked, written);
    expect(await store.pools.find(key)).toMatchObject({ state: "backoff", cause: read, startFault: read });

    const events = [{ type: "retry", step: "starting", cause: written, delayMs: 1 }] as const;
    await store.tasks.append(id, attempt, events);
    expect(await store.tasks.setEnding(id, attempt, { state: "failed", cause: written })).toBeDefined();
    await store.tasks.finish(id, attempt, { state: "failed", cause: written, markInstallation: true });
    const task = await store.tasks.find(id);
    expect(task).toMatchObject({ state: "failed", cause: read, ending: { cause: read } });
    expect(await store.tasks.events(id, 0)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ type: "retry", cause: read }),
        expect.objectContaining({ type: "end", cause: read }),
      ]),
    );
    expect(await store.installations.find(installation.id)).toMatchObject({ state: "failed", cause: read });
    await store.installations.setState(installation.id, "crash_loop", written);
    expect(await store.installations.find(installation.id)).toMatchObject({ cause: read });

    const claimed = await store.images.claim(key, "package", "w", 60_000);
    await store.images.fail(key, claimed.outcome === "claimed" ? claimed.attempt : 0, written);
    expect((await store.images.list()).find((image) => image.key === key)?.cause).toMatchObject(read);
  });

  it("the end of a runtime, the lines of a task and the data of callers are written", async () => {
    const { installation, id, attempt, key } = await aTask();
    expect(installation).toMatchObject({ meta: { [KEPT]: KEPT }, warnings: [KEPT] });
    const runtime = RuntimeId.parse(crypto.randomUUID().replaceAll("-", "").slice(0, 10));
    await store.runtimes.create({
      id: runtime,
      poolKey: key,
      slot: 0,
      generation: 1,
      containerName: "c",
      specHash: "s",
    });
    await store.runtimes.end(runtime, { reason: "crashed", message: TEXT });
    expect(await store.runtimes.find(runtime)).toMatchObject({ end: { reason: "crashed", message: KEPT } });
    await store.tasks.append(id, attempt, [{ type: "log", step: "building", text: TEXT }]);
    expect(await store.tasks.events(id, 0)).toEqual(
      expect.arrayContaining([expect.objectContaining({ type: "log", text: KEPT })]),
    );
    const pkg = { ...aPackage(), declaration: { label: { en_US: TEXT }, description: { [TEXT]: TEXT } } };
    expect((await store.packages.put(pkg, { tenantId: aTenant() })).stored.declaration).toEqual({
      label: { en_US: KEPT },
      description: { [KEPT]: KEPT },
    });
  });

  it("a lookup by a name that cannot be stored finds nothing", async () => {
    expect(await store.packages.find(TEXT)).toBeUndefined();
    expect(await store.pools.find(TEXT)).toBeUndefined();
    expect(await store.installations.findByPlugin(aTenant(), TEXT)).toBeUndefined();
  });

  it("a failing statement does not affect concurrent statements, and its connection stays usable", async () => {
    const pools = await Promise.all(Array.from({ length: 5 }, aPool));
    const wrong = TaskId.parse(crypto.randomUUID()).slice(1) as TaskId;
    const failed = () =>
      expect(store.tasks.renew(wrong, 1, 1000)).rejects.toThrow(/invalid input syntax for type uuid/);
    for (let round = 0; round < 4; round += 1) {
      await failed();
      await store.ping();
      const failing = [failed(), failed()];
      const found = pools.map(async ({ key, tenantId }) => {
        const pool = await store.pools.find(key);
        return pool?.key === key && pool.tenantId === tenantId;
      });
      const moved = pools.map(({ key }) =>
        store.pools.setState(key, { state: "idle", cause: undefined, nextStartAt: undefined }),
      );
      await Promise.all(failing);
      expect(await Promise.all(found)).toEqual(pools.map(() => true));
      await Promise.all(moved);
      await store.ping();
    }
  });
});
