/** Pools with one runtime: how it ends, starts again and stops. */
import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../test/harness/builders/a-pool.ts";
import { anInstallation, keeperWorlds } from "../../../test/harness/rigs/keeper-world.ts";
import { isFault } from "../../domain/fault.ts";
import { silentLog } from "../../observe/log.ts";

const KEY = aPool().key;

const quietly = { onLog: () => undefined };

const never = new AbortController().signal;

const aWorld = keeperWorlds(afterEach);

describe("a Runtime that was asked to stop", () => {
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

describe("a Runtime that ends by itself", () => {
  it("is replaced at once the first time, then after 1, 2 and 4 s, and given up at the fifth end in 10 minutes", async () => {
    const world = await aWorld();
    const { keeper, directory } = await world.ready();
    const installation = anInstallation(world);
    await world.crash();
    await world.clock.until(() => world.rows.pool().state === "ready", 10_000);
    for (const delayMs of [1_000, 2_000, 4_000]) {
      await world.crash();
      const { state, nextStartAt, cause } = world.rows.pool();
      expect({ state, code: cause?.code }).toEqual({ state: "backoff", code: "plugin_crashed" });
      const leftMs = (nextStartAt?.getTime() ?? 0) - world.clock.now();
      expect(leftMs).toBeGreaterThan(delayMs - 500);
      expect(leftMs).toBeLessThanOrEqual(delayMs);
      await world.clock.until(() => world.rows.pool().state === "ready", delayMs + 20_000);
    }
    world.engine.writeLog(world.current.containerId ?? "", {
      ...{ stream: "stderr", at: new Date(world.clock.now()), text: "why it died" },
    });
    await world.crash(9);
    expect(world.rows.pool()).toMatchObject({
      state: "crash_loop",
      cause: {
        code: "plugin_crashed",
        details: { exitCode: 9, oom: false, logs: ["why it died"], crashes: 5 },
      },
    });
    expect(installation()).toMatchObject({ state: "crash_loop", cause: { code: "plugin_crashed" } });

    const starts = world.engine.count("create");
    const refused = await directory.wait(KEY, never).catch((error: unknown) => error);
    expect(isFault(refused, "plugin_not_ready") && refused.details).toMatchObject({ state: "crash_loop" });
    await world.clock.advance(60_000, 500);
    expect(world.engine.count("create")).toBe(starts);

    const again = keeper.ensureReady(KEY, quietly, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    await again;
    expect(installation()).toMatchObject({ state: "ready", cause: undefined });
  });

  it("leaves a crash loop when its limits change", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ crashesMax: 1 });
    await world.crash();
    expect(world.rows.pool().state).toBe("crash_loop");
    const limits = { ...aPool().limits, memoryBytes: 1 << 28 };
    const changed = keeper.replace(KEY, { limits }, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    expect((await changed)[0]).toMatchObject({ id: world.current.id });
    expect(world.rows.pool()).toMatchObject({ limits, nextLimits: undefined });
  });

  it("ends with reason oom when the kernel killed it for memory", async () => {
    const world = await aWorld();
    await world.ready();
    const { id, containerId = "" } = world.current;
    world.engine.crash(containerId, { exitCode: 137, oom: true });
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "oom");
    expect(world.transport.links.get(id)?.exit).toMatchObject({ exitCode: 137, oom: true });
  });

  it("is found by the next pass when its event was lost", async () => {
    const world = await aWorld();
    await world.ready();
    const { id, containerId = "" } = world.current;
    world.engine.cutEvents();
    world.engine.crash(containerId, { exitCode: 2 });
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.exitCode === 2, 31_000);
  });
});

describe("a reply that the engine loses", () => {
  it("to a create leaves one container, not two", async () => {
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

describe("a Pool", () => {
  it("that is not desired any more drains and stops, and a call does not start it", async () => {
    const world = await aWorld();
    const { directory } = await world.ready();
    world.rows.changePool(KEY, { wanted: false });
    await world.clock.until(() => world.current.end?.reason === "stopped");
    const refused = await directory.wait(KEY, never).catch((error: unknown) => error);
    expect(isFault(refused, "plugin_not_ready") && refused.details["state"]).toBe("absent");
  });

  it("that is idle for as long as the operator chose stops, and starts on the next call", async () => {
    const world = await aWorld();
    const { directory } = await world.ready({ idleStopMs: 10_000 });
    await world.clock.until(() => world.current.end?.reason === "idle", 20_000);
    expect(world.rows.pool().state).toBe("idle");
    const woken = directory.wait(KEY, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    expect((await woken).id).toBe(world.current.id);
  });

  it("whose Runtime was retired has another one before the old one's sessions end", async () => {
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

  it("does not wait for the sessions of a retired runtime that no longer answers", async () => {
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

  it("that is created while the rows are being read is started", async () => {
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

  it("whose first start is cancelled leaves no Container", async () => {
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
