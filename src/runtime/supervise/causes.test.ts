import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../test/harness/builders/a-pool.ts";
import { type KeeperWorld, keeperWorlds } from "../../../test/harness/rigs/keeper-world.ts";
import { Fault, isFault } from "../../domain/fault.ts";
import { parseLabels } from "../../engine/labels.ts";

const KEY = aPool().key;
const quietly = { onLog: () => undefined };
const never = new AbortController().signal;
const refused = () => new Fault("engine_refused", "device or resource busy");

const aWorld = keeperWorlds(afterEach);

const ended = (world: KeeperWorld, id: string) =>
  [...world.rows.runtimeRows.values()].find((row) => row.id === id)?.end;
const isReady = (world: KeeperWorld, generation: number) => () =>
  world.rows.pool().state === "ready" && world.current.generation >= generation;

describe("an end of a container from outside", () => {
  it("is reported as such and never causes a crash loop", async () => {
    const world = await aWorld();
    await world.ready({ crashesMax: 2 });
    for (let time = 0; time < 4; time += 1) {
      const { id, generation, containerId = "" } = world.current;
      await world.engine.removeContainer(containerId, never);
      await world.clock.until(isReady(world, generation + 1), 60_000);
      expect(ended(world, id)).toMatchObject({
        reason: "ended_outside",
        action: { kind: expect.any(String) },
      });
    }
  });

  it("is reported as an engine restart if the engine was unavailable", async () => {
    const world = await aWorld();
    await world.ready({ crashesMax: 1 });
    const { id, generation, containerId = "" } = world.current;
    world.engine.crash(containerId, { exitCode: 137 });
    world.engine.unavailable(true);
    await world.clock.advance(3_000);
    world.engine.unavailable(false);
    await world.clock.until(isReady(world, generation + 1), 60_000);
    expect(ended(world, id)).toMatchObject({ reason: "engine_restarted", exitCode: 137 });
  });

  it("interrupts a start, which is retried and does not count as a crash", async () => {
    const world = await aWorld();
    await world.ready({ crashesMax: 2 });
    world.becomesReady = false;
    await world.crash();
    await world.clock.until(
      () => world.current.containerId !== undefined && world.current.state === "starting",
    );
    const { id, containerId = "" } = world.current;
    await world.engine.removeContainer(containerId, never);
    world.becomesReady = true;
    await world.clock.until(isReady(world, 3), 60_000);
    expect(ended(world, id)).toMatchObject({ reason: "start_interrupted", action: { kind: "start_later" } });
  });

  it("is not confused with a plugin that exits on its own", async () => {
    const world = await aWorld();
    await world.ready({ crashesMax: 2 });
    const { id } = world.current;
    await world.crash(3);
    expect(ended(world, id)).toMatchObject({ reason: "crashed", exitCode: 3, action: { kind: "start_now" } });
    await world.clock.until(isReady(world, 2));
    const last = world.current.id;
    await world.crash(3);
    expect(world.rows.pool().state).toBe("crash_loop");
    expect(ended(world, last)).toMatchObject({ action: { kind: "give_up" } });
  });
});

describe("starts that fail for a temporary reason", () => {
  it("back off, so that they do not write a row every second", async () => {
    const world = await aWorld();
    await world.ready();
    for (let time = 0; time < 60; time += 1) {
      world.engine.failNext("create", new Fault("engine_unavailable", "away"));
    }
    await world.crash();
    await world.clock.advance(60_000, 100);
    const rows = world.rows.runtimesOf().length;
    expect(rows).toBeGreaterThan(5);
    expect(rows).toBeLessThan(10);
    expect(world.rows.pool()).toMatchObject({ state: "backoff", cause: { code: "engine_unavailable" } });
  });

  it("happen at once if the clock was set back an hour while the pool backed off", async () => {
    const world = await aWorld();
    world.rows.addPool();
    const nextStartAt = new Date(world.clock.now() + 3_600_000);
    world.rows.changePool(KEY, { state: "backoff", nextStartAt });
    await world.start();
    await world.clock.until(() => world.rows.pool().state === "ready", 10_000);
  });

  it("get more time on a busy host, and the log says so", async () => {
    const world = await aWorld();
    world.rows.addPool();
    world.becomesReady = false;
    const said: string[] = [];
    const { keeper } = await world.start(
      {},
      {
        readPressure: async () => world.clock.now() * 1_000,
        launch: { startTimeoutMs: 10_000, startTimeoutBusyMs: 30_000 },
      },
    );
    const late = keeper
      .ensureReady(KEY, { onLog: (text) => said.push(text) }, never)
      .catch((error: unknown) => error);
    await world.clock.advance(25_000, 100);
    expect(world.current.state).toBe("starting");
    await world.clock.until(() => world.current.state === "ended", 20_000);
    expect(await late).toMatchObject({ code: "start_timeout", details: { moreMs: 20_000 } });
    expect(world.current.end?.message).toMatch(
      /within 10000 ms and 20000 ms more, which it got because work waited/,
    );
    expect(said.join()).toMatch(/the host is busy: the start gets up to 20000 ms more/);
  });
});

describe("a foreign container with our labels", () => {
  it("ends none of our runtimes when it runs out of memory", async () => {
    const world = await aWorld();
    await world.ready();
    const { id, containerId = "" } = world.current;
    const spec = world.engine.specOf(containerId);
    const strange = await world.engine.createContainer({ ...spec, name: "a-stranger" }, never);
    await world.engine.startContainer(strange, never);
    world.engine.crash(strange, { exitCode: 137, oom: true });
    await world.clock.advance(10_000);
    expect(world.current).toMatchObject({ id, state: "ready" });
  });
});

describe("recovery", () => {
  it("finds the running runtime, however many starts have failed since", async () => {
    const world = await aWorld();
    const before = await world.ready();
    const { id } = world.current;
    await before[Symbol.asyncDispose]();
    for (let generation = 2; generation < 40; generation += 1) {
      const failed = `failed${String(generation).padStart(4, "0")}` as typeof id;
      await world.rows.runtimes.create({ ...world.current, id: failed, generation });
      await world.rows.runtimes.end(failed, { reason: "start_interrupted" });
    }
    const after = await world.start();
    world.transport.links.get(id)?.becomeReady();
    await world.clock.until(() => after.directory.pick(KEY)?.id === id);
    await world.clock.advance(10_000);
    const link = world.transport.links.get(id);
    if (link === undefined) throw new Error("no link");
    link.health = () => Promise.reject(new Error("silence"));
    await world.clock.until(() => ended(world, id)?.reason === "unhealthy", 40_000);
  });
});

describe("a removal that the engine refuses", () => {
  it("is left to the sweeper, and the pool can start again", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready();
    world.engine.failNext("stop", refused());
    world.engine.failNext("remove", refused());
    const removal = keeper.removeIfUnused(KEY, never);
    await world.clock.until(() => world.rows.poolRows.size === 0);
    await removal;
    world.rows.addPool();
    const ready = keeper.ensureReady(KEY, quietly, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    await ready;
    await world.clock.advance(200_000, 500);
    expect(await world.engine.listContainers({}, never)).toHaveLength(1);
  });

  it("does not prevent a crashed plugin from starting again", async () => {
    const world = await aWorld();
    await world.ready();
    world.engine.failNext("remove", refused());
    await world.crash();
    await world.clock.until(isReady(world, 2), 10_000);
  });

  it("or does not answer blocks no caller", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready();
    world.engine.unavailable(true);
    const removal = keeper.removeIfUnused(KEY, never).catch((error: unknown) => error);
    await world.clock.advance(5_000);
    expect(isFault(await removal, "engine_unavailable")).toBe(true);
    world.rows.changePool(KEY, { wanted: true });
    const answer = keeper.ensureReady(KEY, quietly, never).catch((error: unknown) => error);
    await world.clock.advance(5_000);
    expect(isFault(await answer, "engine_unavailable")).toBe(true);
    world.engine.unavailable(false);
    await world.clock.until(isReady(world, 1), 60_000);
  });
});

describe("a caller that waits for a start", () => {
  it("and gives up does not affect the others", async () => {
    const world = await aWorld();
    world.becomesReady = false;
    const { keeper } = await world.start({}, { launch: { startsMax: 1 } });
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    const { createContainer } = world.engine;
    let first: string | undefined;
    world.engine.createContainer = async (spec, signal) => {
      first = parseLabels(spec.labels)?.pool;
      await held;
      return await createContainer.call(world.engine, spec, signal);
    };
    const cancel = new AbortController();
    const keys = ["a".repeat(16), "b".repeat(16)];
    const starts = keys.map((key) => {
      world.rows.addPool({ key });
      return keeper.ensureReady(key, quietly, cancel.signal).catch((error: unknown) => error);
    });
    await world.clock.until(() => keys.every((key) => world.rows.runtimesOf(key).length === 1));
    await world.clock.advance(200);
    cancel.abort(new Error("cancelled"));
    await Promise.all(starts);
    const waiting = keys.find((key) => key !== first);
    await world.clock.until(() => world.rows.runtimesOf(waiting)[0]?.state === "ended", 5_000);
    expect(world.rows.runtimesOf(waiting)[0]?.end).toMatchObject({ reason: "start_interrupted" });
    letGo();
  });

  it("keeps its own deadline even if the database does not answer", async () => {
    const world = await aWorld();
    const { directory } = await world.start();
    world.rows.pools.find = () => new Promise(() => undefined);
    const clock = new AbortController();
    const waiting = directory.wait(KEY, clock.signal).catch((error: unknown) => error);
    clock.abort(new Error("its time is over"));
    expect(await waiting).toEqual(new Error("its time is over"));
  });
});
