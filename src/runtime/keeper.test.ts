import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { FakeTransport } from "../../test/harness/fake-transport.ts";
import { LocalQueue } from "../../test/harness/local-queue.ts";
import { ManualClock } from "../../test/harness/manual-clock.ts";
import { type RuntimeParts, startRuntimeParts } from "../../test/harness/runtime-parts.ts";
import { aPool, MemoryRows } from "../../test/harness/runtime-rows.ts";
import { isFault } from "../domain/fault.ts";
import { InstallationId, TenantId } from "../domain/ids.ts";
import { formatLabels, parseLabels } from "../engine/labels.ts";
import { MemoryEngine } from "../engine/memory/memory-engine.ts";
import type { SupervisionSettings } from "./settings.ts";

const KEY = aPool().key;
const quietly = { onLog: () => undefined };
const never = new AbortController().signal;

class World implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly rows = new MemoryRows({ clock: this.clock });
  readonly queue = new LocalQueue();
  readonly transport = new FakeTransport();
  readonly dataFolder: string;
  /** False: what starts never becomes ready. */
  becomesReady = true;
  readonly engine = new MemoryEngine({
    now: () => this.clock.now(),
    onStart: (_id, spec) => {
      const link = this.transport.links.get(parseLabels(spec.labels)?.runtime ?? "");
      if (this.becomesReady) link?.becomeReady();
    },
  });
  readonly #running: RuntimeParts[] = [];

  constructor(dataFolder: string) {
    this.dataFolder = dataFolder;
    this.engine.addImage(aPool().imageRef);
  }

  async start(supervision: Partial<SupervisionSettings> = {}, profile = {}): Promise<RuntimeParts> {
    const { clock, queue, engine, transport, dataFolder } = this;
    const parts = await startRuntimeParts({
      ...{ clock, queue, engine, transport, dataFolder, profile, store: this.rows, holder: "a-worker" },
      supervision,
    });
    this.#running.push(parts);
    return parts;
  }

  /** A Pool with one ready Runtime. */
  async ready(supervision: Partial<SupervisionSettings> = {}): Promise<RuntimeParts> {
    this.rows.addPool();
    const parts = await this.start(supervision);
    const ready = parts.keeper.ensureReady(KEY, quietly, never);
    await this.clock.until(() => this.rows.pool().state === "ready");
    await ready;
    return parts;
  }

  get current() {
    const [row] = this.rows.runtimesOf();
    if (row === undefined) throw new Error("no Runtime");
    return row;
  }

  /** Ends the current Runtime's Container and lets the keeper draw its conclusion. */
  async crash(exitCode = 1): Promise<void> {
    const { id, containerId = "" } = this.current;
    this.engine.crash(containerId, { exitCode });
    await this.clock.until(() => this.rows.runtimeRows.get(id)?.state === "ended");
    await this.clock.until(() => this.rows.pool().state !== "ready" || this.current.id !== id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const parts of this.#running.splice(0)) await parts[Symbol.asyncDispose]();
    await rm(this.dataFolder, { recursive: true, force: true });
  }
}

const worlds: World[] = [];
async function aWorld(): Promise<World> {
  const world = new World(await mkdtemp(join(tmpdir(), "k-")));
  worlds.push(world);
  return world;
}
afterEach(async () => {
  for (const world of worlds.splice(0)) await world[Symbol.asyncDispose]();
});

function anInstallation(world: World) {
  const id = InstallationId.parse("11111111-1111-4111-8111-111111111111");
  const tenantId = TenantId.parse("22222222-2222-4222-8222-222222222222");
  const { pluginId, identifier, limits } = aPool();
  const at = new Date(world.clock.now());
  world.rows.installationRows.set(id, {
    ...{
      id,
      tenantId,
      pluginId,
      identifier,
      previousIdentifier: undefined,
      previousImageKey: undefined,
      desired: "enabled",
      state: "ready",
    },
    ...{
      cause: undefined,
      generation: 1,
      limitsAsked: { memoryIsHard: false },
      limitsGranted: limits,
      limitsWanted: {},
    },
    ...{
      poolKey: KEY,
      nextPoolKey: undefined,
      source: "package",
      meta: {},
      warnings: [],
      trust: undefined,
      createdAt: at,
      updatedAt: at,
    },
  });
  return () => world.rows.installationRows.get(id);
}

describe("a Runtime that ends by itself", () => {
  it("is replaced at once the first time, then after 1, 2 and 4 s, and given up at the fifth end in 10 minutes", async () => {
    const world = await aWorld();
    const { keeper, directory } = await world.ready();
    const installation = anInstallation(world);
    await world.crash();
    await world.clock.until(() => world.rows.pool().state === "ready", 1_000);
    for (const delayMs of [1_000, 2_000, 4_000]) {
      await world.crash();
      const { state, nextStartAt, cause } = world.rows.pool();
      expect({ state, code: cause?.code }).toEqual({ state: "backoff", code: "plugin_crashed" });
      const leftMs = (nextStartAt?.getTime() ?? 0) - world.clock.now();
      expect(leftMs).toBeGreaterThan(delayMs - 500);
      expect(leftMs).toBeLessThanOrEqual(delayMs);
      await world.clock.until(() => world.rows.pool().state === "ready", delayMs + 500);
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
    await world.ready({ crashesMax: 1 });
    await world.crash();
    expect(world.rows.pool().state).toBe("crash_loop");
    world.rows.changePool(KEY, { limits: { ...aPool().limits, memoryBytes: 1 << 28 } });
    await world.clock.until(() => world.rows.pool().state === "ready");
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
  it("shows unhealthy at the first miss and replaces after three, a second apart", async () => {
    const world = await aWorld();
    await world.ready();
    const { id } = world.current;
    const link = world.transport.links.get(id);
    if (link === undefined) throw new Error("no link");
    link.health = () => Promise.reject(new Error("silence"));
    await world.clock.until(() => world.rows.pool().cause?.code === "plugin_not_ready", 31_000);
    expect(world.current.id).toBe(id);
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "unhealthy", 5_000);
    await world.clock.until(() => world.current.id !== id && world.rows.pool().state === "ready");
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
    const limits = { ...aPool().limits, pidsMax: 32 };
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
  const limits = { ...aPool().limits, pidsMax: 32 };
  const live = (world: World) => world.rows.runtimesOf().filter(({ state }) => state !== "ended");

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
  const orphan = async (world: World) => {
    await world.engine.createContainer({ ...specOf(world), name: "orphan", labels }, never);
    const build = formatLabels({ instance: "testtest", kind: "build" });
    await world.engine.createContainer({ ...specOf(world), name: "a-build", labels: build }, never);
  };
  const specOf = (world: World) => world.engine.specOf(world.current.containerId ?? "");
  const names = async (world: World) =>
    (await world.engine.listContainers({}, never))
      .map(({ name }) => name)
      .filter((name) => !name.startsWith("berth-"));

  it("go after the grace, and what a build uses stays", async () => {
    const world = await aWorld();
    await world.ready();
    await orphan(world);
    await world.clock.advance(59_000, 500);
    expect(await names(world)).toEqual(["orphan", "a-build"]);
    await world.clock.advance(61_000, 500);
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
    await world.clock.advance(31_000, 500);
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
    await world.clock.until(() => world.current.end?.reason === "stopped", 20_000);
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
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "replaced");
    expect(world.rows.pool().state).toBe("ready");
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
