import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../../test/harness/builders/a-pool.ts";
import { type KeeperWorld, keeperWorlds } from "../../../../test/harness/rigs/keeper-world.ts";
import { isFault } from "../../../domain/fault.ts";

const KEY = aPool().key;
const quietly = { onLog: () => undefined };
const never = new AbortController().signal;

const aWorld = keeperWorlds(afterEach);

describe("a changed spec", () => {
  it("replaces one pool at a time; the old container serves until the new one is ready", async () => {
    const world = await aWorld();
    const before = await world.ready();
    const other = "fedcba9876543210";
    world.rows.addPool({ key: other });
    const ready = before.keeper.ensureReady(other, quietly, never);
    await world.clock.until(() => world.rows.pool(other).state === "ready");
    await ready;
    world.becomesReady = false;
    const limits = { ...aPool().limits, storageBytes: 8 << 20 };
    world.rows.changePool(KEY, { limits });
    world.rows.changePool(other, { limits });
    const all = () => [...world.rows.runtimeRows.values()].filter(({ state }) => state !== "ended");
    await world.clock.until(() => all().length === 3);
    await world.clock.advance(10_000);
    expect(all()).toHaveLength(3);
    expect(before.directory.pick(KEY)).toBeDefined();
    expect(before.directory.pick(other)).toBeDefined();
    world.becomesReady = true;
    const starting = all().find(({ state }) => state === "starting");
    world.transport.links.get(starting?.id ?? "")?.becomeReady();
    await world.clock.until(
      () => all().length === 2 && all().every(({ generation }) => generation === 2),
      20_000,
    );
  });
});

describe("a requested replacement", () => {
  const limits = { ...aPool().limits, storageBytes: 8 << 20 };
  const live = (world: KeeperWorld) => world.rows.runtimesOf().filter(({ state }) => state !== "ended");

  it("takes over with its limits once it is ready; the old container serves until then", async () => {
    const world = await aWorld();
    const { keeper, directory } = await world.ready();
    world.becomesReady = false;
    const replaced = keeper.replace(KEY, { limits }, never);
    await world.clock.until(() => live(world).length === 2 && world.current.containerId !== undefined);
    expect(world.rows.pool().limits).not.toEqual(limits);
    expect(directory.pick(KEY)?.id).toBe(world.rows.runtimesOf()[1]?.id);
    world.transport.links.get(world.current.id)?.becomeReady();
    await world.clock.until(() => live(world).length === 1);
    await replaced;
    expect(world.rows.pool()).toMatchObject({ limits, nextLimits: undefined, state: "ready" });
    expect(directory.pick(KEY)?.id).toBe(world.current.id);
  });

  it("creates a new container even without other limits", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready();
    const [before] = live(world);
    const replaced = keeper.replace(KEY, {}, never);
    await world.clock.until(() => live(world).length === 1 && world.current.id !== before?.id);
    await replaced;
    expect(world.current.generation).toBe(2);
  });

  it("rejects with the failure of its start, and the old container continues to serve unchanged", async () => {
    const world = await aWorld();
    const { keeper, directory } = await world.ready();
    const [before] = live(world);
    world.becomesReady = false;
    const refused = keeper.replace(KEY, { limits }, never).catch((error: unknown) => error);
    await world.clock.until(() => live(world).length === 2 && world.current.containerId !== undefined);
    world.engine.crash(world.current.containerId ?? "", { exitCode: 1 });
    await world.clock.until(() => world.rows.pool().startAnswered === 1);
    expect(isFault(await refused, "start_crashed")).toBe(true);
    expect(directory.pick(KEY)?.id).toBe(before?.id);
    expect(world.rows.pool()).toMatchObject({ limits: aPool().limits, nextLimits: undefined });
    world.becomesReady = true;
    await world.clock.advance(60_000);
    expect(live(world).map(({ id }) => id)).toEqual([before?.id]);
  });

  it("ends a crash loop", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ crashesMax: 1 });
    await world.crash();
    await world.clock.until(() => world.rows.pool().state === "crash_loop");
    const replaced = keeper.replace(KEY, {}, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    await replaced;
    expect(live(world)).toHaveLength(1);
  });

  it("leaves one container when its keeper died during it", async () => {
    const world = await aWorld();
    const first = await world.ready();
    await first[Symbol.asyncDispose]();
    const [old] = live(world);
    if (old === undefined) throw new Error("no Runtime");
    const second = await world.start();
    const replaced = second.keeper.replace(KEY, {}, never);
    await world.clock.until(() => live(world).length === 1 && world.current.id !== old.id);
    await replaced;
  });
});
