import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../../test/harness/builders/a-pool.ts";
import { keeperWorlds } from "../../../../test/harness/rigs/keeper-world.ts";
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
import { TenantId } from "../../../domain/ids.ts";
import { formatLabelFilter } from "../../../engine/labels.ts";
import { newRuntimeId } from "../../launch/profile.ts";

const never = new AbortController().signal;

const aWorld = keeperWorlds(afterEach);

describe("a pool with two desired runtimes", () => {
  it("serves with the first, starts the second at once, and sends each call to the one with fewer open calls", async () => {
    const world = await aWorld();
    const { directory } = await startTwo(world);
    expect(servingSlots(world)).toEqual([0, 1]);
    expect([...world.running.keeper.serving()]).toEqual([[aPool().pluginId, 2]]);
    expect(liveRuntimes(world).map(({ containerName }) => containerName)).toEqual([
      `berth-testtest-${KEY}-1-g2`,
      `berth-testtest-${KEY}-0-g1`,
    ]);
    const [first, second] = servingPair(world);
    linkOf(world, first).openSessions = 1;
    expect(directory.pick(KEY)?.id).toBe(second.id);
    linkOf(world, second).openSessions = 2;
    expect(directory.pick(KEY)?.id).toBe(first.id);
    await world.clock.advance(30_000, 500);
    expect(world.engine.count("create")).toBe(2);
  });

  it("takes the number from its own limits if it belongs to one tenant; another number replaces no container", async () => {
    const world = await aWorld();
    const tenantId = TenantId.parse("22222222-2222-4222-8222-222222222222");
    const { keeper } = await world.ready({}, {}, { tenantId });
    const [only] = liveRuntimes(world);
    const asked = async (replicas: number) => {
      const limits = { ...aPool().limits, replicasMin: replicas, replicasMax: replicas };
      const done = keeper.replace(KEY, { limits }, never);
      await world.clock.until(() => world.rows.pool().nextLimits === undefined);
      await done;
    };
    await asked(3);
    await world.clock.until(() => servingRuntimes(world).length === 3, 10_000);
    expect(servingSlots(world)).toEqual([0, 1, 2]);
    await asked(1);
    await world.clock.until(() => liveRuntimes(world).length === 1, 10_000);
    expect(liveRuntimes(world)).toMatchObject([{ id: only?.id, state: "ready" }]);
    expect(world.rows.runtimesOf().flatMap(({ end }) => end?.reason ?? [])).toEqual([
      "scaled_in",
      "scaled_in",
    ]);
  });

  it("serves with one while the host has no room for another, and starts it once there is room", async () => {
    const world = await aWorld();
    const room = { launch: { hostMemoryBytes: 100 << 20 } };
    const { directory } = await world.ready(TWO, room);
    await world.clock.advance(10_000, 100);
    expect(world.rows.pool()).toMatchObject({ state: "ready", cause: undefined });
    expect(world.rows.runtimesOf()).toHaveLength(1);
    expect(directory.pick(KEY)?.id).toBe(world.current.id);
    world.rows.reserved.set(world.current.id, 1 << 20);
    await world.clock.until(() => servingRuntimes(world).length === 2, 120_000);
  });

  it("serves with one while another does not become ready, and stops without waiting for it", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ sharedReplicas: { min: 1, max: 1 } });
    await keeper[Symbol.asyncDispose]();
    world.becomesReady = false;
    const next = await world.start(TWO);
    await world.clock.until(() => world.engine.count("start") === 2);
    const [first] = servingRuntimes(world);
    if (first === undefined) throw new Error("none serves");
    crashRuntime(world, first);
    await world.clock.until(() => world.rows.runtimeRows.get(first.id)?.end !== undefined);
    world.rows.changePool(KEY, { wanted: false });
    let isGone = false;
    const removed = next.keeper.removeIfUnused(KEY, never).then(() => {
      isGone = true;
    });
    await world.clock.until(() => isGone, 20_000);
    await removed;
    expect(await world.engine.listContainers({}, never)).toEqual([]);
    expect(liveRuntimes(world)).toEqual([]);
  });

  it("is supervised while two starts of an earlier keeper are in progress", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ sharedReplicas: { min: 1, max: 1 } });
    await keeper[Symbol.asyncDispose]();
    world.becomesReady = false;
    const former = await world.start(TWO);
    const starting = () =>
      liveRuntimes(world).filter(({ state, containerId }) => state === "starting" && containerId);
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
    await world.clock.until(() => servingRuntimes(world).length === 2, 5_000);
    const [last] = liveRuntimes(world).filter(({ state }) => state === "starting");
    if (last === undefined) throw new Error("the second one is gone");
    await world.clock.until(() => world.transport.links.has(last.id), 5_000);
    linkOf(world, last).becomeReady();
    await world.clock.until(
      () => liveRuntimes(world).length === 2 && servingRuntimes(world).length === 2,
      10_000,
    );
  });

  it("is adopted completely by the next keeper, with a start in progress", async () => {
    const world = await aWorld();
    const { keeper } = await startTwo(world);
    const before = liveRuntimes(world).map(({ id }) => id);
    await keeper[Symbol.asyncDispose]();
    world.becomesReady = false;
    const third = { sharedReplicas: { min: 3, max: 3 } };
    const second = await world.start(third);
    await world.clock.until(() => world.engine.count("start") === 3);
    await second.keeper[Symbol.asyncDispose]();
    const { directory } = await world.start(third);
    for (const row of servingRuntimes(world)) linkOf(world, row).becomeReady();
    await world.clock.advance(3_000);
    expect(before).toContain(directory.pick(KEY)?.id);
    const starting = liveRuntimes(world).find(({ state }) => state === "starting");
    linkOf(world, starting ?? world.current).becomeReady();
    await world.clock.until(() => servingRuntimes(world).length === 3);
    expect(liveRuntimes(world).map(({ id }) => id)).toEqual([starting?.id, ...before]);
    expect(world.engine.count("create")).toBe(3);
  });
});
