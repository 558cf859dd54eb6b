/** Runtimes: one end each, generations that only grow, and a history. */
import { expect, it } from "vitest";
import { RuntimeId } from "../../../src/domain/ids.ts";
import type { Store } from "../../../src/store/store.ts";
import { aTenant } from "../../harness/samples/tenant-rows.ts";

export function runtimeContract(runtimes: () => Store["runtimes"]): void {
  it("keeps the first end of a runtime and continues its generations after it", async () => {
    const poolKey = crypto.randomUUID();
    const id = crypto.randomUUID().replaceAll("-", "").slice(0, 10);
    const runtimeId = RuntimeId.parse(id);
    expect(await runtimes().nextGeneration(poolKey)).toBe(1);
    await runtimes().create({
      id: runtimeId,
      poolKey,
      slot: 0,
      generation: 1,
      containerName: `c-${id}`,
      specHash: "h",
    });
    await runtimes().setState(runtimeId, "ready");
    expect((await runtimes().listLive()).map((runtime) => runtime.id)).toContain(runtimeId);
    await runtimes().end(runtimeId, { reason: "oom", exitCode: 137, oom: true });
    await runtimes().end(runtimeId, { reason: "lost" });
    expect(await runtimes().find(runtimeId)).toMatchObject({ state: "ended", end: { reason: "oom" } });
    expect(await runtimes().nextGeneration(poolKey)).toBe(2);
  });

  it("keeps the history of a plugin's runtimes, with Berth's action, until it is purged", async () => {
    const [tenantId, other] = [aTenant(), aTenant()];
    const pluginId = `berth/history-${crypto.randomUUID().slice(0, 8)}`;
    const since = new Date(Date.now() - 60_000);
    const made: string[] = [];
    for (const owner of [tenantId, undefined, other]) {
      const id = RuntimeId.parse(crypto.randomUUID().replaceAll("-", "").slice(0, 10));
      const poolKey = crypto.randomUUID();
      const names = {
        containerName: `c-${id}`,
        specHash: "h",
        pluginId,
        identifier: `${pluginId}:1.0.0@ff`,
      };
      await runtimes().create({ id, poolKey, slot: 0, generation: 1, tenantId: owner, ...names });
      expect((await runtimes().listLive(poolKey)).map((runtime) => runtime.id)).toEqual([id]);
      await runtimes().end(id, { reason: "unhealthy", exitCode: 137, message: "why", logs: ["last"] });
      await runtimes().noteAction(id, { kind: "start_later", delayMs: 1_000 });
      made.unshift(id);
    }
    const history = await runtimes().listOfPlugin({ tenantId, pluginId, since }, 10);
    expect(history.map(({ id }) => id)).toEqual(made.slice(1));
    expect(history[1]).toMatchObject({ tenantId, pluginId, identifier: `${pluginId}:1.0.0@ff` });
    expect(history[1]?.end).toEqual({
      reason: "unhealthy",
      exitCode: 137,
      message: "why",
      logs: ["last"],
      action: { kind: "start_later", delayMs: 1_000 },
    });
    const later = { tenantId, pluginId, since: new Date(Date.now() + 60_000) };
    expect(await runtimes().listOfPlugin(later, 10)).toEqual([]);
    await runtimes().purge(1, 100);
    expect(await runtimes().listOfPlugin({ tenantId, pluginId, since }, 10)).toHaveLength(2);
    while ((await runtimes().purge(0, 100)) > 0);
    expect(await runtimes().listOfPlugin({ tenantId, pluginId, since }, 10)).toEqual([]);
  });

  it("lists living runtimes newest first, and those of a pool by generation", async () => {
    const poolKey = crypto.randomUUID();
    const made: RuntimeId[] = [];
    for (const generation of [1, 2, 3]) {
      const id = RuntimeId.parse(crypto.randomUUID().replaceAll("-", "").slice(0, 10));
      const names = { containerName: `c-${id}`, specHash: "h" };
      await runtimes().create({ id, poolKey, slot: 0, generation, ...names });
      made.unshift(id);
    }
    const idsOf = (found: readonly { readonly id: RuntimeId }[]) => found.map(({ id }) => id);
    expect(idsOf(await runtimes().listLive(poolKey))).toEqual(made);
    expect(idsOf(await runtimes().listOfPool(poolKey, 2))).toEqual(made.slice(0, 2));
  });

  it("keeps the time at which a runtime was first ready, and refuses to change one that does not exist", async () => {
    const id = RuntimeId.parse(crypto.randomUUID().replaceAll("-", "").slice(0, 10));
    const change = { code: "not_found" };
    await expect(runtimes().setState(id, "ready")).rejects.toMatchObject(change);
    await expect(runtimes().setContainer(id, "c")).rejects.toMatchObject(change);
    await expect(runtimes().end(id, { reason: "lost" })).rejects.toMatchObject(change);
    await runtimes().create({
      id,
      poolKey: id,
      slot: 0,
      generation: 1,
      containerName: `c-${id}`,
      specHash: "h",
    });
    await runtimes().setState(id, "ready");
    const first = await runtimes().find(id);
    expect(first?.readyAt).toBeInstanceOf(Date);
    await runtimes().setState(id, "draining");
    await runtimes().setState(id, "ready");
    expect((await runtimes().find(id))?.readyAt).toEqual(first?.readyAt);
    await runtimes().end(id, { reason: "stopped" });
    await runtimes().setState(id, "ready");
    expect((await runtimes().find(id))?.state).toBe("ended");
  });
}
