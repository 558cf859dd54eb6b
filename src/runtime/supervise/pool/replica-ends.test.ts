import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../../test/harness/builders/a-pool.ts";
import { anInstallation, keeperWorlds } from "../../../../test/harness/rigs/keeper-world.ts";
import {
  crashRuntime,
  KEY,
  linkOf,
  liveRuntimes,
  servingPair,
  servingRuntimes,
  servingSlots,
  startTwo,
  TWO,
} from "../../../../test/support/replicas.ts";

const never = new AbortController().signal;

const aWorld = keeperWorlds(afterEach);

it("an end during a pass that finds the pool serving starts nothing before the restart policy has judged it", async () => {
  const world = await aWorld();
  const { pools } = world.rows;
  const setState = pools.setState.bind(pools);
  let ends = 0;
  pools.setState = async (key, to) => {
    await setState(key, to);
    if (to.state !== "ready") return;
    const { id } = world.current;
    crashRuntime(world, world.current);
    ends += 1;
    await world.clock.until(() => world.running.links.exitOf(id) !== undefined);
  };
  await world.ready();
  await world.clock.until(() => world.rows.pool().state === "crash_loop", 70_000);
  expect(world.engine.count("create")).toBe(ends);
  expect(liveRuntimes(world)).toEqual([]);
});

describe("a pool with two desired runtimes", () => {
  it("continues with the other when one runtime ends, and starts a new runtime in its slot", async () => {
    const world = await aWorld();
    const { directory } = await startTwo(world);
    const installation = anInstallation(world);
    const [first, second] = servingPair(world);
    crashRuntime(world, first);
    await world.clock.until(() => world.rows.runtimeRows.get(first.id)?.end !== undefined);
    expect(world.rows.pool().state).toBe("ready");
    expect(directory.pick(KEY)?.id).toBe(second.id);
    expect(linkOf(world, second).exit).toBeUndefined();
    await world.clock.until(() => servingRuntimes(world).length === 2);
    expect(servingSlots(world)).toEqual([0, 1]);
    expect(world.rows.runtimeRows.get(first.id)?.end?.action).toEqual({ kind: "start_now" });
    expect(installation()).toMatchObject({ state: "ready", cause: undefined });
  });

  it("backs off longer each time one ends, and is in a crash loop only when the last one ends", async () => {
    const world = await aWorld();
    const { directory } = await startTwo(world);
    const [, steady] = servingPair(world);
    for (let ended = 1; ended <= 5; ended += 1) {
      await world.clock.until(() => servingRuntimes(world).length === 2, 70_000);
      const other = servingRuntimes(world).find(({ id }) => id !== steady.id);
      if (other === undefined) throw new Error("no other");
      crashRuntime(world, other);
      await world.clock.until(() => world.rows.runtimeRows.get(other.id)?.end?.action !== undefined);
    }
    const actions = world.rows.runtimesOf().flatMap(({ end }) => end?.action ?? []);
    expect(actions.toReversed()).toEqual([
      { kind: "start_now" },
      ...[1_000, 2_000, 4_000, 60_000].map((delayMs) => ({ kind: "start_later", delayMs })),
    ]);
    expect(world.rows.pool().state).toBe("ready");
    expect(directory.pick(KEY)?.id).toBe(steady.id);
    crashRuntime(world, steady);
    await world.clock.until(() => world.rows.pool().state === "crash_loop");
  });

  it("is in a crash loop even if another runtime was starting each time", async () => {
    const world = await aWorld();
    await startTwo(world);
    world.becomesReady = false;
    const starting = () =>
      liveRuntimes(world).find(({ state, containerId }) => state === "starting" && containerId);
    crashRuntime(world, servingPair(world)[1]);
    await world.clock.until(() => starting() !== undefined);
    for (let ended = 1; world.rows.pool().state !== "crash_loop"; ended += 1) {
      expect(ended).toBeLessThan(8);
      const [serves] = servingRuntimes(world);
      const next = starting();
      if (serves === undefined) throw new Error("none serves");
      crashRuntime(world, serves);
      await world.clock.until(() => world.rows.runtimeRows.get(serves.id)?.end?.action !== undefined);
      if (next !== undefined) linkOf(world, next).becomeReady();
      await world.clock.until(
        () =>
          world.rows.pool().state === "crash_loop" || (servingRuntimes(world).length === 1 && !!starting()),
        140_000,
      );
    }
    const made = world.engine.count("create");
    await world.clock.advance(200_000, 1_000);
    expect(world.rows.pool().state).toBe("crash_loop");
    expect(world.engine.count("create")).toBe(made);
    expect(await world.engine.listContainers({}, never)).toEqual([]);
  });

  it("does not count starts that never become ready against the runtime that serves", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ sharedReplicas: { min: 1, max: 1 } });
    await keeper[Symbol.asyncDispose]();
    world.becomesReady = false;
    await world.start(TWO, { launch: { startTimeoutMs: 1_000, startTimeoutBusyMs: 1_000 } });
    await world.clock.until(() => world.engine.count("start") === 8, 400_000);
    const [first] = servingRuntimes(world);
    if (first === undefined) throw new Error("none serves");
    expect(world.rows.pool().state).toBe("ready");
    world.becomesReady = true;
    crashRuntime(world, first);
    await world.clock.until(
      () => servingRuntimes(world).length > 0 && servingRuntimes(world).every(({ id }) => id !== first.id),
    );
    expect(world.rows.runtimeRows.get(first.id)?.end?.action).toEqual({ kind: "start_now" });
  });

  it("replaces each runtime on request, one after the other", async () => {
    const world = await aWorld();
    const { keeper } = await startTwo(world);
    const before = servingPair(world).map(({ id }) => id);
    const replaced = keeper.replace(KEY, {}, never);
    let fewest = 2;
    await world.clock.until(() => {
      fewest = Math.min(fewest, servingRuntimes(world).length);
      return liveRuntimes(world).length === 2 && liveRuntimes(world).every(({ id }) => !before.includes(id));
    });
    await replaced;
    expect(fewest).toBe(2);
    expect(servingSlots(world)).toEqual([0, 1]);
  });

  it("replaces each runtime when the operator's settings changed", async () => {
    const world = await aWorld();
    const { keeper } = await startTwo(world);
    const before = servingPair(world).map(({ id }) => id);
    await keeper[Symbol.asyncDispose]();
    await world.start(TWO, { profile: { openFilesMax: 1024 } });
    let most = 0;
    await world.clock.until(() => {
      most = Math.max(most, liveRuntimes(world).length);
      return (
        servingRuntimes(world).length === 2 && servingRuntimes(world).every(({ id }) => !before.includes(id))
      );
    }, 20_000);
    expect(most).toBe(3);
    await world.clock.until(() => liveRuntimes(world).length === 2);
  });

  it("stops all runtimes when no calls come, and starts again with the first call", async () => {
    const world = await aWorld();
    const { directory } = await startTwo(world, { idleStopMs: 10_000 });
    await world.clock.until(() => liveRuntimes(world).length === 0, 20_000);
    expect(world.rows.runtimesOf().map(({ end }) => end?.reason)).toEqual(["idle", "idle"]);
    expect([...world.running.keeper.serving()]).toEqual([[aPool().pluginId, 0]]);
    const woken = directory.wait(KEY, never);
    await world.clock.until(() => servingRuntimes(world).length === 2);
    await woken;
  });

  it("starts another runtime in the slot of a retired one", async () => {
    const world = await aWorld();
    const { directory } = await startTwo(world);
    const [first, second] = servingPair(world);
    linkOf(world, first).openSessions = 1;
    directory.retire(first.id, "a call overran its last deadline");
    await world.clock.until(() => servingRuntimes(world).length === 2);
    expect(world.rows.runtimeRows.get(first.id)?.state).toBe("draining");
    expect(servingRuntimes(world)).toMatchObject([{ slot: 0 }, { slot: 1, id: second.id }]);
  });
});
