/** Pools that are to have two runtimes, whatever the load. */
import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../../test/harness/builders/a-pool.ts";
import { anInstallation, keeperWorlds } from "../../../../test/harness/rigs/keeper-world.ts";
import {
  crash,
  linkOf,
  live,
  pair,
  serving,
  slots,
  TWO,
  two,
} from "../../../../test/harness/rigs/replicas.ts";
import { TenantId } from "../../../domain/ids.ts";
import { formatLabelFilter } from "../../../engine/labels.ts";
import { newRuntimeId } from "../../launch/profile.ts";

const KEY = aPool().key;

const never = new AbortController().signal;

const aWorld = keeperWorlds(afterEach);

describe("a Pool that is to have two Runtimes", () => {
  it("serves with the first, starts the second at once, and sends each call to the one with fewer", async () => {
    const world = await aWorld();
    const { directory } = await two(world);
    expect(slots(world)).toEqual([0, 1]);
    expect([...world.running.keeper.serving()]).toEqual([[aPool().pluginId, 2]]);
    expect(live(world).map(({ containerName }) => containerName)).toEqual([
      `berth-testtest-${KEY}-1-g2`,
      `berth-testtest-${KEY}-0-g1`,
    ]);
    const [first, second] = pair(world);
    linkOf(world, first).openSessions = 1;
    expect(directory.pick(KEY)?.id).toBe(second.id);
    linkOf(world, second).openSessions = 2;
    expect(directory.pick(KEY)?.id).toBe(first.id);
    await world.clock.advance(30_000, 500);
    expect(world.engine.count("create")).toBe(2);
  });

  it("takes its number from its own limits in a pool of one tenant; a new number replaces no container", async () => {
    const world = await aWorld();
    const tenantId = TenantId.parse("22222222-2222-4222-8222-222222222222");
    const { keeper } = await world.ready({}, {}, { tenantId });
    const [only] = live(world);
    const asked = async (replicas: number) => {
      const limits = { ...aPool().limits, replicasMin: replicas, replicasMax: replicas };
      const done = keeper.replace(KEY, { limits }, never);
      await world.clock.until(() => world.rows.pool().nextLimits === undefined);
      await done;
    };
    await asked(3);
    await world.clock.until(() => serving(world).length === 3, 10_000);
    expect(slots(world)).toEqual([0, 1, 2]);
    await asked(1);
    await world.clock.until(() => live(world).length === 1, 10_000);
    expect(live(world)).toMatchObject([{ id: only?.id, state: "ready" }]);
    expect(world.rows.runtimesOf().flatMap(({ end }) => end?.reason ?? [])).toEqual([
      "scaled_in",
      "scaled_in",
    ]);
  });

  it("goes on with the other when one ends, which is started again in its place", async () => {
    const world = await aWorld();
    const { directory } = await two(world);
    const installation = anInstallation(world);
    const [first, second] = pair(world);
    crash(world, first);
    await world.clock.until(() => world.rows.runtimeRows.get(first.id)?.end !== undefined);
    expect(world.rows.pool().state).toBe("ready");
    expect(directory.pick(KEY)?.id).toBe(second.id);
    expect(linkOf(world, second).exit).toBeUndefined();
    await world.clock.until(() => serving(world).length === 2);
    expect(slots(world)).toEqual([0, 1]);
    expect(world.rows.runtimeRows.get(first.id)?.end?.action).toEqual({ kind: "start_now" });
    expect(installation()).toMatchObject({ state: "ready", cause: undefined });
  });

  it("backs off for a runtime that keeps crashing, and is in a crash loop only when the last one is", async () => {
    const world = await aWorld();
    const { directory } = await two(world);
    const [, steady] = pair(world);
    for (let ended = 1; ended <= 5; ended += 1) {
      await world.clock.until(() => serving(world).length === 2, 70_000);
      const other = serving(world).find(({ id }) => id !== steady.id);
      if (other === undefined) throw new Error("no other");
      crash(world, other);
      await world.clock.until(() => world.rows.runtimeRows.get(other.id)?.end?.action !== undefined);
    }
    const actions = world.rows.runtimesOf().flatMap(({ end }) => end?.action ?? []);
    expect(actions.toReversed()).toEqual([
      { kind: "start_now" },
      ...[1_000, 2_000, 4_000, 60_000].map((delayMs) => ({ kind: "start_later", delayMs })),
    ]);
    expect(world.rows.pool().state).toBe("ready");
    expect(directory.pick(KEY)?.id).toBe(steady.id);
    crash(world, steady);
    await world.clock.until(() => world.rows.pool().state === "crash_loop");
  });

  it("ends in a crash loop although another runtime was starting each time", async () => {
    const world = await aWorld();
    await two(world);
    world.becomesReady = false;
    const starting = () => live(world).find(({ state, containerId }) => state === "starting" && containerId);
    crash(world, pair(world)[1]);
    await world.clock.until(() => starting() !== undefined);
    for (let ended = 1; world.rows.pool().state !== "crash_loop"; ended += 1) {
      expect(ended).toBeLessThan(8);
      const [serves] = serving(world);
      const next = starting();
      if (serves === undefined) throw new Error("none serves");
      crash(world, serves);
      await world.clock.until(() => world.rows.runtimeRows.get(serves.id)?.end?.action !== undefined);
      if (next !== undefined) linkOf(world, next).becomeReady();
      await world.clock.until(
        () => world.rows.pool().state === "crash_loop" || (serving(world).length === 1 && !!starting()),
        140_000,
      );
    }
    const made = world.engine.count("create");
    await world.clock.advance(200_000, 1_000);
    expect(world.rows.pool().state).toBe("crash_loop");
    expect(world.engine.count("create")).toBe(made);
    expect(await world.engine.listContainers({}, never)).toEqual([]);
  });

  it("serves with one runtime while the host has no room, and gets the second once there is", async () => {
    const world = await aWorld();
    const room = { launch: { hostMemoryBytes: 100 << 20 } };
    const { directory } = await world.ready(TWO, room);
    await world.clock.advance(10_000, 100);
    expect(world.rows.pool()).toMatchObject({ state: "ready", cause: undefined });
    expect(world.rows.runtimesOf()).toHaveLength(1);
    expect(directory.pick(KEY)?.id).toBe(world.current.id);
    world.rows.reserved.set(world.current.id, 1 << 20);
    await world.clock.until(() => serving(world).length === 2, 120_000);
  });

  it("serves with one runtime while the other does not become ready, and stops without waiting for it", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ sharedReplicas: { min: 1, max: 1 } });
    await keeper[Symbol.asyncDispose]();
    world.becomesReady = false;
    const next = await world.start(TWO);
    await world.clock.until(() => world.engine.count("start") === 2);
    const [first] = serving(world);
    if (first === undefined) throw new Error("none serves");
    crash(world, first);
    await world.clock.until(() => world.rows.runtimeRows.get(first.id)?.end !== undefined);
    world.rows.changePool(KEY, { wanted: false });
    let isGone = false;
    const removed = next.keeper.removeIfUnused(KEY, never).then(() => {
      isGone = true;
    });
    await world.clock.until(() => isGone, 20_000);
    await removed;
    expect(await world.engine.listContainers({}, never)).toEqual([]);
    expect(live(world)).toEqual([]);
  });

  it("does not replace the serving runtime when another never becomes ready", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ sharedReplicas: { min: 1, max: 1 } });
    await keeper[Symbol.asyncDispose]();
    world.becomesReady = false;
    await world.start(TWO, { launch: { startTimeoutMs: 1_000, startTimeoutBusyMs: 1_000 } });
    await world.clock.until(() => world.engine.count("start") === 8, 400_000);
    const [first] = serving(world);
    if (first === undefined) throw new Error("none serves");
    expect(world.rows.pool().state).toBe("ready");
    world.becomesReady = true;
    crash(world, first);
    await world.clock.until(
      () => serving(world).length > 0 && serving(world).every(({ id }) => id !== first.id),
    );
    expect(world.rows.runtimeRows.get(first.id)?.end?.action).toEqual({ kind: "start_now" });
  });

  it("is supervised while two starts of an earlier keeper are in progress", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ sharedReplicas: { min: 1, max: 1 } });
    await keeper[Symbol.asyncDispose]();
    world.becomesReady = false;
    const former = await world.start(TWO);
    const starting = () =>
      live(world).filter(({ state, containerId }) => state === "starting" && containerId);
    await world.clock.until(() => starting().length === 1);
    await former.keeper[Symbol.asyncDispose]();
    const [left] = starting();
    if (left === undefined) throw new Error("none starts");
    const other = {
      id: newRuntimeId(),
      slot: 2,
      generation: 9,
      containerName: `${left.containerName}-other`,
    };
    const { poolKey, specHash, containerName } = left;
    await world.rows.runtimes.create({ ...other, poolKey, specHash }, undefined);
    const spec = world.engine.specOf(containerName);
    const labels = { ...spec.labels, ...formatLabelFilter({ runtime: other.id, generation: 9 }) };
    const made = await world.engine.createContainer({ ...spec, name: other.containerName, labels }, never);
    await world.engine.startContainer(made, never);
    world.transport.links.clear();
    const next = await world.start(TWO);
    let isAnswered = false;
    const asked = next.keeper.ensureReady(KEY, { onLog: () => undefined }, never).then(() => {
      isAnswered = true;
    });
    await world.clock.until(() => isAnswered, 5_000);
    await asked;
    // The second one's turn comes when the first is there.
    const firstLink = world.transport.links.get(left.id) ?? world.transport.links.get(other.id);
    firstLink?.becomeReady();
    await world.clock.until(() => serving(world).length === 2, 5_000);
    const [last] = live(world).filter(({ state }) => state === "starting");
    if (last === undefined) throw new Error("the second one is gone");
    await world.clock.until(() => world.transport.links.has(last.id), 5_000);
    linkOf(world, last).becomeReady();
    await world.clock.until(() => live(world).length === 2 && serving(world).length === 2, 10_000);
  });

  it("has each of them replaced when somebody asks for it, one after the other", async () => {
    const world = await aWorld();
    const { keeper } = await two(world);
    const before = pair(world).map(({ id }) => id);
    const replaced = keeper.replace(KEY, {}, never);
    let fewest = 2;
    await world.clock.until(() => {
      fewest = Math.min(fewest, serving(world).length);
      return live(world).length === 2 && live(world).every(({ id }) => !before.includes(id));
    });
    await replaced;
    expect(fewest).toBe(2);
    expect(slots(world)).toEqual([0, 1]);
  });

  it("has each of them replaced when the operator's settings changed", async () => {
    const world = await aWorld();
    const { keeper } = await two(world);
    const before = pair(world).map(({ id }) => id);
    await keeper[Symbol.asyncDispose]();
    await world.start(TWO, { profile: { openFilesMax: 1024 } });
    let most = 0;
    await world.clock.until(() => {
      most = Math.max(most, live(world).length);
      return serving(world).length === 2 && serving(world).every(({ id }) => !before.includes(id));
    }, 20_000);
    expect(most).toBe(3);
    await world.clock.until(() => live(world).length === 2);
  });

  it("is adopted whole by the next keeper, a start in progress too", async () => {
    const world = await aWorld();
    const { keeper } = await two(world);
    const before = live(world).map(({ id }) => id);
    await keeper[Symbol.asyncDispose]();
    world.becomesReady = false;
    const third = { sharedReplicas: { min: 3, max: 3 } };
    const second = await world.start(third);
    await world.clock.until(() => world.engine.count("start") === 3);
    await second.keeper[Symbol.asyncDispose]();
    const { directory } = await world.start(third);
    for (const row of serving(world)) linkOf(world, row).becomeReady();
    await world.clock.advance(3_000);
    expect(before).toContain(directory.pick(KEY)?.id);
    const starting = live(world).find(({ state }) => state === "starting");
    linkOf(world, starting ?? world.current).becomeReady();
    await world.clock.until(() => serving(world).length === 3);
    expect(live(world).map(({ id }) => id)).toEqual([starting?.id, ...before]);
    expect(world.engine.count("create")).toBe(3);
  });

  it("stops all of them when idle, and starts with the first call", async () => {
    const world = await aWorld();
    const { directory } = await two(world, { idleStopMs: 10_000 });
    await world.clock.until(() => live(world).length === 0, 20_000);
    expect(world.rows.runtimesOf().map(({ end }) => end?.reason)).toEqual(["idle", "idle"]);
    expect([...world.running.keeper.serving()]).toEqual([[aPool().pluginId, 0]]);
    const woken = directory.wait(KEY, never);
    await world.clock.until(() => serving(world).length === 2);
    await woken;
  });

  it("replaces a retired runtime", async () => {
    const world = await aWorld();
    const { directory } = await two(world);
    const [first, second] = pair(world);
    linkOf(world, first).openSessions = 1;
    directory.retire(first.id, "a call overran its last deadline");
    await world.clock.until(() => serving(world).length === 2);
    expect(world.rows.runtimeRows.get(first.id)?.state).toBe("draining");
    expect(serving(world)).toMatchObject([{ slot: 0 }, { slot: 1, id: second.id }]);
  });
});
