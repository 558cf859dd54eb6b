import { afterEach, describe, expect, it, vi } from "vitest";
import { aPool } from "../../../test/harness/builders/a-pool.ts";
import { type KeeperWorld, keeperWorlds } from "../../../test/harness/rigs/keeper-world.ts";
import { isFault } from "../../domain/fault.ts";
import { formatLabels } from "../../engine/labels.ts";
import { silentLog } from "../../observe/log.ts";

const KEY = aPool().key;
const quietly = { onLog: () => undefined };
const never = new AbortController().signal;

const aWorld = keeperWorlds(afterEach);

describe("a runtime that was asked to stop", () => {
  it("is logged as stopped and not as a failure", async () => {
    const world = await aWorld();
    const lines: { op?: unknown; ok?: unknown; reason?: unknown }[] = [];
    const write = (fields: object) => void lines.push(fields);
    const { keeper } = await world.ready({}, { log: { ...silentLog, info: write, warn: write } });
    await keeper.shutdownAll(never);
    expect(lines.filter(({ op }) => op === "runtime.end")).toEqual([
      expect.objectContaining({ ok: true, reason: "stopped" }),
    ]);
  });
});

describe("the leases of several pools", () => {
  it("are renewed in one statement, and none is claimed again while its holder lives", async () => {
    const world = await aWorld();
    const others = ["1123456789abcdef", "2123456789abcdef"];
    const { keeper } = await world.ready({ leaseMs: 2_000, rowPollMs: 300 });
    for (const key of others) world.rows.addPool({ key, uidOffset: Number(key[0]) + 7 });
    await Promise.all([
      ...others.map((key) => keeper.ensureReady(key, quietly, never)),
      world.clock.until(() => others.every((key) => world.rows.poolRows.get(key)?.state === "ready")),
    ]);
    await world.clock.advance(2_000);
    const renew = vi.spyOn(world.rows.pools, "renew");
    const claim = vi.spyOn(world.rows.pools, "claim");
    await world.clock.advance(8_000);
    expect(claim).not.toHaveBeenCalled();
    const [[keys] = [[]]] = renew.mock.calls;
    expect([...keys].sort()).toEqual([KEY, ...others]);
    expect(renew.mock.calls.length).toBeLessThanOrEqual(12);
  });
});

describe("a pool", () => {
  it("drains and stops when it is not desired any more, and a call does not start it", async () => {
    const world = await aWorld();
    const { directory } = await world.ready();
    world.rows.changePool(KEY, { wanted: false });
    await world.clock.until(() => world.current.end?.reason === "stopped");
    const refused = await directory.wait(KEY, never).catch((error: unknown) => error);
    expect(isFault(refused, "plugin_not_ready") && refused.details["state"]).toBe("absent");
  });

  it("stops after the idle time of the settings, and starts on the next call", async () => {
    const world = await aWorld();
    const { directory } = await world.ready({ idleStopMs: 10_000 });
    await world.clock.until(() => world.current.end?.reason === "idle", 20_000);
    expect(world.rows.pool().state).toBe("idle");
    const woken = directory.wait(KEY, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    expect((await woken).id).toBe(world.current.id);
  });

  it("starts another runtime for a retired one before the old one's sessions end", async () => {
    const world = await aWorld();
    const { directory } = await world.ready();
    const { id } = world.current;
    const link = world.transport.links.get(id);
    if (link !== undefined) link.openSessions = 1;
    directory.retire(id, "a call overran its last deadline");
    expect(directory.pick(KEY)).toBeUndefined();
    await world.clock.until(() => directory.pick(KEY) !== undefined);
    expect(world.rows.runtimeRows.get(id)?.state).toBe("draining");
    if (link !== undefined) link.openSessions = 0;
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "retired");
    expect(world.rows.pool().state).toBe("ready");
  });

  it("does not wait for the sessions of a retired runtime that does not answer", async () => {
    const world = await aWorld();
    const { directory } = await world.ready({ retireMs: 600_000 });
    const { id } = world.current;
    const link = world.transport.links.get(id);
    if (link !== undefined) {
      link.openSessions = 1;
      link.health = () => Promise.reject(new Error("no answer"));
    }
    directory.retire(id, "a call overran its last deadline");
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "retired", 20_000);
  });

  it("keeps its start when it is created while the rows are read", async () => {
    const world = await aWorld();
    world.becomesReady = false;
    const { keeper } = await world.start();
    const { pools } = world.rows;
    const listed = pools.list;
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    let hasRead = false;
    pools.list = async () => {
      const rows = await listed();
      hasRead = true;
      await answered;
      return rows;
    };
    await world.clock.until(() => hasRead);
    world.rows.addPool();
    const ready = keeper.ensureReady(KEY, quietly, never);
    ready.catch(() => undefined);
    await world.clock.until(() => world.engine.count("start") === 1);
    pools.list = listed;
    answer();
    await world.clock.advance(100);
    world.transport.links.get(world.current.id)?.becomeReady();
    await world.clock.until(() => world.rows.pool().state === "ready");
    expect(await ready).toMatchObject({ poolKey: KEY });
    expect(world.engine.count("start")).toBe(1);
  });

  it("leaves no container when its first start is cancelled", async () => {
    const world = await aWorld();
    world.rows.addPool();
    world.becomesReady = false;
    const { keeper } = await world.start();
    const cancel = new AbortController();
    const starting = keeper.ensureReady(KEY, quietly, cancel.signal).catch((error: unknown) => error);
    await world.clock.until(() => world.engine.count("start") === 1);
    cancel.abort(new Error("cancelled"));
    expect(await starting).toEqual(new Error("cancelled"));
    await world.clock.until(() => world.rows.pool().state === "idle" && world.current.state === "ended");
    expect(await world.engine.listContainers({}, never)).toEqual([]);
  });
});

describe("a pool that retires", () => {
  it("is removed with its container and its row once nothing needs it", async () => {
    const world = await aWorld();
    await world.ready();
    world.rows.changePool(KEY, { wanted: false, retiring: true });
    await world.clock.until(() => world.rows.poolRows.size === 0);
    expect(await world.engine.listContainers({}, never)).toEqual([]);
  });

  it("stays if an install needs it again in the meantime", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready();
    world.rows.changePool(KEY, { wanted: false, retiring: true });
    await world.rows.pools.ensure(aPool());
    const ready = keeper.ensureReady(KEY, quietly, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    await ready;
    await world.clock.advance(10_000);
    expect(world.rows.pool()).toMatchObject({ wanted: true, retiring: false });
  });
});

describe("rare behavior of an engine", () => {
  it("a create whose answer was lost leaves one container, not two", async () => {
    const world = await aWorld();
    world.rows.addPool();
    const { keeper } = await world.start();
    world.engine.loseNextCreateReply();
    await keeper.ensureReady(KEY, quietly, never).catch(() => undefined);
    const again = keeper.ensureReady(KEY, quietly, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    await again;
    expect(await world.engine.listContainers({}, never)).toHaveLength(1);
  });
});

describe("orphans", () => {
  const labels = formatLabels({ instance: "testtest", kind: "runtime", runtime: "aaaaaaaaaa", pool: "gone" });
  const orphan = async (world: KeeperWorld) => {
    await world.engine.createContainer({ ...specOf(world), name: "orphan", labels }, never);
    const build = formatLabels({ instance: "testtest", kind: "build" });
    await world.engine.createContainer({ ...specOf(world), name: "a-build", labels: build }, never);
  };
  const specOf = (world: KeeperWorld) => world.engine.specOf(world.current.containerId ?? "");
  const names = async (world: KeeperWorld) =>
    (await world.engine.listContainers({}, never))
      .map(({ name }) => name)
      .filter((name) => !name.startsWith("berth-"));

  it("are removed after the grace period; containers of builds stay", async () => {
    const world = await aWorld();
    await world.ready();
    await orphan(world);
    await world.clock.advance(59_000, 500);
    expect(await names(world)).toEqual(["orphan", "a-build"]);
    await world.clock.until(() => world.engine.count("remove") > 0, 200_000);
    expect(await names(world)).toEqual(["a-build"]);
    expect(world.rows.pool().state).toBe("ready");
  });

  it("stay while the store does not answer", async () => {
    const world = await aWorld();
    await world.ready();
    await orphan(world);
    await world.clock.advance(31_000, 500);
    world.rows.unavailable(true);
    await world.clock.advance(200_000, 500);
    expect(await names(world)).toContain("orphan");
    world.rows.unavailable(false);
    await world.clock.until(() => world.engine.count("remove") > 0, 200_000);
    expect(await names(world)).toEqual(["a-build"]);
  });
});
