import { afterEach, describe, expect, it, vi } from "vitest";
import { aPool } from "../../../test/harness/builders/a-pool.ts";
import { type KeeperWorld, keeperWorlds } from "../../../test/harness/rigs/keeper-world.ts";
import { Fault } from "../../domain/fault.ts";
import type { Limits } from "../../domain/limits.ts";
import { type RuntimeRecord, replacedSince } from "../../domain/runtime.ts";

const MIB = 1 << 20;
const KEY = aPool().key;
const never = new AbortController().signal;
const limitsWith = (changes: Partial<Limits>): Limits => ({ ...aPool().limits, ...changes });

const aWorld = keeperWorlds(afterEach);

const grantedTo = async (world: KeeperWorld) =>
  (await world.engine.findContainer(world.current.containerId ?? "", never))?.resources;
const reservedBy = (world: KeeperWorld) => world.rows.reserved.get(world.current.id);

/** Asks, and resolves when it was answered. */
async function change(world: KeeperWorld, limits: Limits, { keeper } = world.running): Promise<unknown> {
  const asked = world.rows.pool().startAsked + 1;
  const changed = keeper.replace(KEY, { limits }, never).catch((error: unknown) => error);
  await world.clock.until(() => world.rows.pool().startAnswered >= asked);
  return await changed;
}

describe("limits that change", () => {
  it("take effect in the running container: CPU, processes and more memory", async () => {
    const world = await aWorld();
    await world.ready();
    const { id } = world.current;
    expect(reservedBy(world)).toBe(96 * MIB);
    const limits = limitsWith({ cpuMillis: 250, pidsMax: 32, memoryBytes: 100 * MIB });
    expect(await change(world, limits)).toMatchObject([{ id }]);
    expect(await grantedTo(world)).toEqual({ memoryBytes: 132 * MIB, cpuMillis: 250, pidsMax: 32 });
    expect(reservedBy(world)).toBe(132 * MIB);
    expect(world.rows.pool()).toMatchObject({ limits, nextLimits: undefined, state: "ready" });
    await world.clock.advance(120_000, 1_000);
    expect(world.rows.runtimesOf().map((row) => row.id)).toEqual([id]);
    expect(world.engine.count("update")).toBe(1);
  });

  it("need another container if the memory is less or the engine refuses", async () => {
    const world = await aWorld();
    await world.ready();
    const first = world.current.id;
    await change(world, limitsWith({ memoryBytes: 32 * MIB }));
    expect(world.current.id).not.toBe(first);
    expect(await grantedTo(world)).toMatchObject({ memoryBytes: 64 * MIB });
    const second = world.current.id;
    world.engine.failNext("update", new Fault("engine_refused", "no such control file"));
    await change(world, limitsWith({ memoryBytes: 48 * MIB }));
    expect(world.current.id).not.toBe(second);
    expect(await grantedTo(world)).toMatchObject({ memoryBytes: 80 * MIB });
    await world.clock.until(
      () => world.rows.runtimesOf().filter((row) => row.state !== "ended").length === 1,
    );
  });

  it("are refused with the arithmetic if the host has no room, and nothing changes", async () => {
    const world = await aWorld();
    await world.ready({}, { launch: { hostMemoryBytes: 120 * MIB } });
    const { id } = world.current;
    expect(await change(world, limitsWith({ memoryBytes: 128 * MIB }))).toMatchObject({
      code: "host_full",
      message: expect.stringMatching(/reserve 96 MiB of 120 MiB .* asks for 64 MiB more/),
    });
    expect(world.engine.count("update")).toBe(0);
    expect(reservedBy(world)).toBe(96 * MIB);
    expect(world.rows.pool()).toMatchObject({ limits: aPool().limits, nextLimits: undefined });
    await world.clock.advance(60_000, 1_000);
    expect(world.current.id).toBe(id);
  });

  it.each([
    ["changed nothing", 0],
    ["had made the change", 36],
  ])("do not stay reserved after the request ended, if the engine did not answer and %s", async (_, more) => {
    const world = await aWorld();
    await world.ready();
    const { id, containerId = "" } = world.current;
    const limits = limitsWith({ memoryBytes: 100 * MIB });
    world.engine.failNext("update", new Fault("engine_unavailable", "no answer"));
    const gone = new AbortController();
    const changed = world.running.keeper.replace(KEY, { limits }, gone.signal).catch(() => undefined);
    await world.clock.until(() => world.engine.count("update") === 1);
    // The answer alone was lost.
    const granted = { memoryBytes: (96 + more) * MIB, cpuMillis: 1_000, pidsMax: 64 };
    await world.engine.updateContainer(containerId, granted, never);
    gone.abort(new Error("nobody waits"));
    await changed;
    expect(reservedBy(world)).toBe(132 * MIB);
    await world.clock.until(() => world.rows.pool().nextLimits === undefined);
    await world.clock.until(() => more === 0 || world.rows.runtimeRows.get(id)?.state === "ended");
    await world.clock.until(() => reservedBy(world) === 96 * MIB);
    expect(await grantedTo(world)).toMatchObject({ memoryBytes: 96 * MIB });
    // What it was given all the same is more than it may have: another container takes over.
    expect(world.current.id === id).toBe(more === 0);
  });

  it("do not stay reserved if the store was unavailable when they were refused", async () => {
    const world = await aWorld();
    await world.ready();
    const { id } = world.current;
    world.engine.failNext("update", new Fault("engine_refused", "no such control file"));
    const { reserve } = world.rows.runtimes;
    let calls = 0;
    const failing = vi.spyOn(world.rows.runtimes, "reserve").mockImplementation(async (...asked) => {
      calls += 1;
      if (calls === 2) throw new Fault("store_unavailable", "away");
      await reserve(...asked);
    });
    const gone = new AbortController();
    const limits = limitsWith({ memoryBytes: 100 * MIB });
    const changed = world.running.keeper.replace(KEY, { limits }, gone.signal).catch(() => undefined);
    await world.clock.until(() => calls === 2);
    gone.abort(new Error("nobody waits"));
    await changed;
    await world.clock.until(() => reservedBy(world) === 96 * MIB);
    expect(world.current.id).toBe(id);
    failing.mockRestore();
  });

  it("that a keeper left unapplied when it died are applied once by the next keeper", async () => {
    const world = await aWorld();
    const first = await world.ready();
    const { id, containerId = "" } = world.current;
    await first[Symbol.asyncDispose]();
    // Reserved and granted, and not a word of it to whoever asked.
    const limits = limitsWith({ pidsMax: 32, memoryBytes: 100 * MIB });
    const asked = await world.rows.pools.askReplace(KEY, limits);
    await world.rows.runtimes.reserve(id, 132 * MIB, { budgetBytes: undefined });
    await world.start();
    await world.clock.until(() => world.rows.pool().startAnswered === asked);
    expect(await grantedTo(world)).toMatchObject({ memoryBytes: 132 * MIB, pidsMax: 32 });
    expect(world.current).toMatchObject({ id, containerId });
    expect(world.engine.count("update")).toBe(1);
  });

  it("that were granted after the request ended lead to another container, and do not stay reserved", async () => {
    const world = await aWorld();
    const first = await world.ready();
    const { id, containerId = "" } = world.current;
    await first[Symbol.asyncDispose]();
    await world.rows.runtimes.reserve(id, 300 * MIB, undefined);
    await world.start();
    await world.clock.until(() => reservedBy(world) === 96 * MIB);
    const more = { memoryBytes: 300 * MIB, cpuMillis: 1_000, pidsMax: 64 };
    await world.running[Symbol.asyncDispose]();
    await world.engine.updateContainer(containerId, more, never);
    await world.start();
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.state === "ended");
    expect(await grantedTo(world)).toMatchObject({ memoryBytes: 96 * MIB });
  });

  it("replace only the one of several containers that the engine did not change", async () => {
    const world = await aWorld();
    const replicas = { replicasMin: 2, replicasMax: 2 };
    await world.ready({ sharedReplicas: { min: 2, max: 2 } });
    const serving = () => world.rows.runtimesOf().filter(({ state }) => state === "ready");
    await world.clock.until(() => serving().length === 2);
    const ids = serving().map(({ id }) => id);
    await world.clock.advance(1_000);
    const since = new Date(world.clock.now());
    const both = await change(world, limitsWith({ ...replicas, pidsMax: 32 }));
    expect(replacedSince(both as RuntimeRecord[], since)).toBe("none");
    world.engine.failNext("update", new Fault("engine_refused", "no such control file"));
    const one = await change(world, limitsWith({ ...replicas, pidsMax: 16 }));
    expect(serving().filter(({ id }) => ids.includes(id))).toHaveLength(1);
    expect(replacedSince(one as RuntimeRecord[], since)).toBe("some");
  });

  it("are changed in all of several containers, or in no container", async () => {
    const world = await aWorld();
    const replicas = { replicasMin: 2, replicasMax: 2 };
    await world.ready({ sharedReplicas: { min: 2, max: 2 } }, { launch: { hostMemoryBytes: 250 * MIB } });
    const serving = () => world.rows.runtimesOf().filter(({ state }) => state === "ready");
    await world.clock.until(() => serving().length === 2);
    const ids = serving().map(({ id }) => id);
    const reserved = () => ids.map((id) => world.rows.reserved.get(id));
    const granted = async () => {
      const found = serving().map(({ containerId = "" }) => world.engine.findContainer(containerId, never));
      return (await Promise.all(found)).map((state) => state?.resources);
    };
    await change(world, limitsWith({ ...replicas, memoryBytes: 80 * MIB, pidsMax: 32 }));
    expect(reserved()).toEqual([112 * MIB, 112 * MIB]);
    const both = { memoryBytes: 112 * MIB, cpuMillis: 1_000, pidsMax: 32 };
    expect(await granted()).toEqual([both, both]);
    // Room for one of them.
    expect(await change(world, limitsWith({ ...replicas, memoryBytes: 96 * MIB }))).toMatchObject({
      code: "host_full",
    });
    expect(reserved()).toEqual([112 * MIB, 112 * MIB]);
    expect(await granted()).toEqual([both, both]);
    expect(serving().map(({ id }) => id)).toEqual(ids);
  });
});
