import { afterEach, describe, expect, it } from "vitest";
import { type KeeperWorld, keeperWorlds } from "../../../../test/harness/rigs/keeper-world.ts";
import {
  KEY,
  linkOf,
  liveRuntimes,
  servingPair,
  servingRuntimes,
  servingSlots,
} from "../../../../test/support/replicas.ts";
import type { RuntimeRecord } from "../../../domain/runtime.ts";

const never = new AbortController().signal;

const aWorld = keeperWorlds(afterEach);

describe("a pool that may have two runtimes", () => {
  const UP_TO_TWO = {
    sharedReplicas: { min: 1, max: 2 },
    scaling: { busyCalls: 1, busyMs: 5_000, quietMs: 60_000, lookMs: 1_000 },
  };
  /** What the runner counts, also for other processes. */
  const report = (world: KeeperWorld, row: RuntimeRecord, openSessions: number) => {
    linkOf(world, row).health = async () => ({
      alive: true,
      heartbeatAgeMs: 0,
      residentBytes: 0,
      oomKills: 0,
      openSessions,
    });
  };
  async function scaledOut(world: KeeperWorld) {
    const parts = await world.ready(UP_TO_TWO);
    report(world, world.current, 1);
    await world.clock.until(() => servingRuntimes(world).length === 2, 10_000);
    return parts;
  }

  it("gets and loses the second in time, even if the clock is set back an hour in between", async () => {
    const world = await aWorld();
    await world.ready(UP_TO_TWO);
    report(world, world.current, 1);
    await world.clock.advance(3_000, 100);
    world.clock.setBack(3_600_000);
    await world.clock.until(() => servingRuntimes(world).length === 2, 5_000);
    for (const row of servingRuntimes(world)) report(world, row, 0);
    await world.clock.advance(30_000, 500);
    world.clock.setBack(3_600_000);
    await world.clock.until(() => servingRuntimes(world).length === 1, 40_000);
  });

  it("gets the second after the first was busy long enough, and never a third", async () => {
    const world = await aWorld();
    await world.ready(UP_TO_TWO);
    const { current } = world;
    await world.clock.advance(10_000, 100);
    report(world, current, 1);
    await world.clock.advance(4_000, 100);
    report(world, current, 0);
    await world.clock.advance(1_500, 100);
    report(world, current, 1);
    await world.clock.advance(4_000, 100);
    expect(world.engine.count("create")).toBe(1);
    await world.clock.until(() => servingRuntimes(world).length === 2);
    for (const row of servingRuntimes(world)) report(world, row, 5);
    await world.clock.advance(20_000, 100);
    expect(world.engine.count("create")).toBe(2);
    expect(world.rows.pool().state).toBe("ready");
  });

  it("drains the second after a quiet time", async () => {
    const world = await aWorld();
    await scaledOut(world);
    const [first, second] = servingPair(world);
    report(world, second, 1);
    await world.clock.advance(70_000, 500);
    expect(servingSlots(world)).toEqual([0, 1]);
    report(world, first, 0);
    report(world, second, 0);
    await world.clock.advance(50_000, 500);
    expect(servingSlots(world)).toEqual([0, 1]);
    await world.clock.until(() => world.rows.runtimeRows.get(second.id)?.end !== undefined, 20_000);
    expect(world.rows.runtimeRows.get(second.id)?.end?.reason).toBe("scaled_in");
    expect(liveRuntimes(world).map(({ id }) => id)).toEqual([first.id]);
    await world.clock.advance(70_000, 500);
    expect(world.engine.count("create")).toBe(2);
  });

  it("keeps the number to which an earlier keeper scaled it", async () => {
    const world = await aWorld();
    const { keeper } = await scaledOut(world);
    const before = liveRuntimes(world).map(({ id }) => id);
    await keeper[Symbol.asyncDispose]();
    await world.start(UP_TO_TWO);
    for (const row of servingRuntimes(world)) linkOf(world, row).becomeReady();
    await world.clock.advance(30_000, 100);
    expect(liveRuntimes(world).map(({ id }) => id)).toEqual(before);
    await world.clock.until(() => liveRuntimes(world).length === 1, 60_000);
  });

  it("does not scale because of a runtime that does not answer", async () => {
    const world = await aWorld();
    await world.ready({ ...UP_TO_TWO, healthMs: 3_600_000 });
    linkOf(world, world.current).openSessions = 1;
    linkOf(world, world.current).health = () => Promise.reject(new Error("no answer"));
    await world.clock.advance(20_000, 100);
    expect(world.engine.count("create")).toBe(1);
  });

  it("does not start a second that had no room after the load has gone", async () => {
    const world = await aWorld();
    await world.ready(UP_TO_TWO, { launch: { hostMemoryBytes: 100 << 20 } });
    report(world, world.current, 1);
    await world.clock.advance(10_000, 100);
    report(world, world.current, 0);
    await world.clock.advance(62_000, 500);
    world.rows.reserved.set(world.current.id, 1 << 20);
    await world.clock.advance(70_000, 500);
    expect(world.engine.count("create")).toBe(1);
  });

  it("starts with one again after an idle stop", async () => {
    const world = await aWorld();
    const { directory } = await world.ready({ ...UP_TO_TWO, idleStopMs: 20_000 });
    report(world, world.current, 1);
    await world.clock.until(() => servingRuntimes(world).length === 2, 10_000);
    await world.clock.until(() => world.rows.pool().state === "idle", 30_000);
    for (const row of liveRuntimes(world)) report(world, row, 0);
    await world.clock.until(() => liveRuntimes(world).length === 0, 10_000);
    const woken = directory.wait(KEY, never);
    await world.clock.until(() => servingRuntimes(world).length === 1);
    await woken;
    await world.clock.advance(500);
    expect(liveRuntimes(world)).toHaveLength(1);
    expect(world.engine.count("create")).toBe(3);
  });
});
