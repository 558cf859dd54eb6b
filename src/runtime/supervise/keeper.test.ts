import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../test/harness/builders/a-pool.ts";
import { anInstallation, type KeeperWorld, keeperWorlds } from "../../../test/harness/rigs/keeper-world.ts";
import { isFault } from "../../domain/fault.ts";
import { formatLabels } from "../../engine/labels.ts";
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

  it("is told apart where the kernel ended it for memory", async () => {
    const world = await aWorld();
    await world.ready();
    const { id, containerId = "" } = world.current;
    world.engine.crash(containerId, { exitCode: 137, oom: true });
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "oom");
    expect(world.transport.links.get(id)?.exit).toMatchObject({ exitCode: 137, oom: true });
  });

  it("is found by the next pass where its event was lost", async () => {
    const world = await aWorld();
    await world.ready();
    const { id, containerId = "" } = world.current;
    world.engine.cutEvents();
    world.engine.crash(containerId, { exitCode: 2 });
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.exitCode === 2, 31_000);
  });
});

describe("health", () => {
  const linkOf = (world: KeeperWorld) => {
    const link = world.transport.links.get(world.current.id);
    if (link === undefined) throw new Error("no link");
    return link;
  };
  const answer = { alive: true, heartbeatAgeMs: 0, residentBytes: 0, oomKills: 0, openSessions: 0 };
  const silence = () => Promise.reject(new Error("silence"));

  it("shows unhealthy at the first miss and replaces after three, a second apart", async () => {
    const world = await aWorld();
    await world.ready();
    const { id } = world.current;
    linkOf(world).health = silence;
    await world.clock.until(() => world.rows.pool().cause?.code === "plugin_not_ready", 31_000);
    expect(world.current.id).toBe(id);
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "unhealthy", 5_000);
    await world.clock.until(() => world.current.id !== id && world.rows.pool().state === "ready");
  });

  it("that ends a Runtime is told to its calls as that, before it is killed", async () => {
    const world = await aWorld();
    await world.ready({ crashesMax: 1 });
    const { id } = world.current;
    const link = linkOf(world);
    link.health = silence;
    await world.clock.until(() => world.rows.pool().state === "crash_loop", 31_000);
    expect(link.exit).toMatchObject({ exitCode: undefined, hung: "silence" });
    expect(world.rows.pool().cause).toMatchObject({
      code: "plugin_unhealthy",
      message: "The plugin did not pass its health checks (silence). Berth ended its container.",
    });
    expect(world.rows.runtimeRows.get(id)?.end).toMatchObject({ reason: "unhealthy", exitCode: 137 });
  });

  it("waits for an answer that comes late: it proves that the runner lives", async () => {
    const world = await aWorld();
    await world.ready();
    const { id } = world.current;
    const late = Promise.withResolvers<typeof answer>();
    linkOf(world).health = () => late.promise;
    await world.clock.until(() => world.rows.pool().cause?.code === "plugin_not_ready", 31_000);
    linkOf(world).health = async () => answer;
    late.resolve(answer);
    await world.clock.until(() => world.rows.pool().cause === undefined);
    await world.clock.advance(60_000, 500);
    expect(world.current.id).toBe(id);
  });

  it("is not judged on a host under pressure, until the patience is over", async () => {
    const world = await aWorld();
    const readPressure = async () => world.clock.now() * 1_000;
    await world.ready({ healthPatienceMs: 100_000 }, { readPressure });
    const { id } = world.current;
    linkOf(world).health = silence;
    await world.clock.until(() => /because work waited/.test(world.rows.pool().cause?.message ?? ""), 31_000);
    await world.clock.advance(80_000, 500);
    expect(world.current.id).toBe(id);
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "unhealthy", 60_000);
  });

  it("is not judged where Berth itself stood still", async () => {
    const world = await aWorld();
    await world.ready({ leaseMs: 3_600_000 });
    const { id } = world.current;
    const link = linkOf(world);
    let isFrozen = false;
    link.health = () => (isFrozen ? silence() : Promise.resolve(answer));
    await world.clock.advance(10_000, 500);
    isFrozen = true;
    for (let minute = 0; minute < 10; minute += 1) await world.clock.advance(60_000, 60_000);
    isFrozen = false;
    await world.clock.advance(60_000, 500);
    expect(world.current.id).toBe(id);
  });

  it("misses a plugin whose process is stopped, and an idle one whose heart stands still", async () => {
    for (const sign of [{ stopped: true }, { heartbeatAgeMs: 26_000 }]) {
      const world = await aWorld();
      await world.ready();
      const { id } = world.current;
      linkOf(world).health = async () => ({ ...answer, ...sign });
      await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "unhealthy", 35_000);
    }
  });

  it("lets a plugin compute for two minutes while it answers a call", async () => {
    const world = await aWorld();
    await world.ready();
    const { id } = world.current;
    linkOf(world).health = async () => ({ ...answer, heartbeatAgeMs: 110_000, openSessions: 1 });
    await world.clock.advance(60_000, 500);
    expect(world.current.id).toBe(id);
    linkOf(world).health = async () => ({ ...answer, heartbeatAgeMs: 121_000, openSessions: 1 });
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "unhealthy", 35_000);
  });
});

describe("a changed spec", () => {
  it("is served by what runs until the new Container is ready, one Pool at a time", async () => {
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

describe("a replacement that is asked for", () => {
  const limits = { ...aPool().limits, storageBytes: 8 << 20 };
  const live = (world: KeeperWorld) => world.rows.runtimesOf().filter(({ state }) => state !== "ended");

  it("serves under its limits once it is ready; until then the old one does", async () => {
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

  it("without other limits is a new Container all the same", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready();
    const [before] = live(world);
    const replaced = keeper.replace(KEY, {}, never);
    await world.clock.until(() => live(world).length === 1 && world.current.id !== before?.id);
    await replaced;
    expect(world.current.generation).toBe(2);
  });

  it("that does not start is said to whoever asked, and the old one serves on as it was", async () => {
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

  it("ends a Pool's being given up", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ crashesMax: 1 });
    await world.crash();
    await world.clock.until(() => world.rows.pool().state === "crash_loop");
    const replaced = keeper.replace(KEY, {}, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    await replaced;
    expect(live(world)).toHaveLength(1);
  });

  it("leaves one Container where its keeper died in the middle", async () => {
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

describe("a Pool that retires", () => {
  it("goes, with its Container and its row, once nobody needs it", async () => {
    const world = await aWorld();
    await world.ready();
    world.rows.changePool(KEY, { wanted: false, retiring: true });
    await world.clock.until(() => world.rows.poolRows.size === 0);
    expect(await world.engine.listContainers({}, never)).toEqual([]);
  });

  it("stays for whoever came to need it meanwhile", async () => {
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

describe("what an Engine does rarely", () => {
  it("a lost answer to a create ends in one Container, not two", async () => {
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

  it("go after the grace, and what a build uses stays", async () => {
    const world = await aWorld();
    await world.ready();
    await orphan(world);
    await world.clock.advance(59_000, 500);
    expect(await names(world)).toEqual(["orphan", "a-build"]);
    await world.clock.until(() => world.engine.count("remove") > 0, 200_000);
    expect(await names(world)).toEqual(["a-build"]);
    expect(world.rows.pool().state).toBe("ready");
  });

  it("stay while the Store does not answer", async () => {
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

  it("are only reported in a dry run", async () => {
    const world = await aWorld();
    await world.ready({ sweepDryRun: true });
    await orphan(world);
    await world.clock.advance(200_000, 500);
    expect(await names(world)).toContain("orphan");
  });
});

describe("a Pool", () => {
  it("that is not wanted any more drains and stops, and a call does not wake it", async () => {
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

  it("whose retired Runtime answers nothing any more waits for none of its sessions", async () => {
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

  it("that is made while the rows are being read keeps its start", async () => {
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
