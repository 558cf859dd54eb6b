/** Two workers on one database and one engine: whoever holds a pool's lease does what the other one is asked for. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../test/harness/builders/a-pool.ts";
import { FakeTransport } from "../../../test/harness/doubles/fake-transport.ts";
import { LocalQueue } from "../../../test/harness/doubles/local-queue.ts";
import { ManualClock } from "../../../test/harness/doubles/manual-clock.ts";
import { MemoryRows } from "../../../test/harness/doubles/memory-rows.ts";
import { type RuntimeParts, startRuntimeParts } from "../../../test/harness/rigs/runtime-parts.ts";
import { MemoryEngine } from "../../../test/support/engine-memory/memory-engine.ts";
import { parseLabels } from "../../engine/labels.ts";
import { Scope } from "../../util/scope.ts";

const KEY = aPool().key;
const LEASE_MS = 2_000;
const quietly = { onLog: () => undefined };
const never = new AbortController().signal;

class Workers {
  readonly clock = new ManualClock();
  readonly rows = new MemoryRows({ clock: this.clock });
  readonly queue = new LocalQueue();
  readonly scope = new Scope();
  readonly #transports: FakeTransport[] = [];
  becomesReady = true;
  readonly engine = new MemoryEngine({
    now: () => this.clock.now(),
    onStart: (_id, spec) => {
      const runtime = parseLabels(spec.labels)?.runtime ?? "";
      if (this.becomesReady) for (const { links } of this.#transports) links.get(runtime)?.becomeReady();
    },
  });
  readonly dataFolder: string;

  constructor(dataFolder: string) {
    this.dataFolder = dataFolder;
    this.engine.addImage(aPool().imageRef);
  }

  /** A worker by name; `store` may be one that a test makes fail for this worker alone. */
  async start(holder: string): Promise<RuntimeParts> {
    const transport = new FakeTransport();
    this.#transports.push(transport);
    const { clock, queue, engine, dataFolder, rows: store } = this;
    const supervision = { leaseMs: LEASE_MS, rowPollMs: 300, orphanGraceMs: 1_000, reconcileMs: 1_000 };
    const launch = { startTimeoutMs: 5_000 };
    return this.scope.use(
      await startRuntimeParts({
        clock,
        queue,
        engine,
        transport,
        dataFolder,
        store,
        holder,
        supervision,
        launch,
      }),
    );
  }

  async two(): Promise<readonly [RuntimeParts, RuntimeParts]> {
    return [await this.start("first"), await this.start("second")];
  }

  get holder(): string | undefined {
    return this.rows.pool().lease?.holder;
  }

  /** Lets time pass until the work has ended. */
  async finish<T>(work: Promise<T>): Promise<T> {
    let ended = false;
    work.then(
      () => (ended = true),
      () => (ended = true),
    );
    await this.clock.until(() => ended, 20_000);
    return await work;
  }
}

const made: Workers[] = [];
async function someWorkers(): Promise<Workers> {
  const workers = new Workers(await mkdtemp(join(tmpdir(), "k-")));
  made.push(workers);
  return workers;
}
afterEach(async () => {
  for (const { scope, dataFolder } of made.splice(0)) {
    await scope.close();
    await rm(dataFolder, { recursive: true, force: true });
  }
});

describe("a worker that does not hold a pool's lease", () => {
  it("makes the holder start the pool, and gets the runtime that serves then", async () => {
    const workers = await someWorkers();
    const [first, second] = await workers.two();
    workers.rows.addPool();
    await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
    expect(workers.holder).toBe("first");
    const said: string[] = [];
    const asked = second.keeper.ensureReady(KEY, { onLog: (text) => said.push(text) }, never);
    expect(await workers.finish(asked)).toMatchObject({ poolKey: KEY, state: "ready", generation: 1 });
    expect(said).toEqual(["another worker holds this pool's lease and is asked to start it"]);
    expect(workers.holder).toBe("first");
  });

  it("gets the cause of a start that failed at the holder, and the pool stays idle afterwards", async () => {
    const workers = await someWorkers();
    workers.rows.addPool();
    const first = await workers.start("first");
    await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
    const second = await workers.start("second");
    workers.becomesReady = false;
    const [runtime] = workers.rows.runtimesOf();
    workers.rows.changePool(KEY, { wanted: false });
    await workers.clock.until(
      () => workers.rows.runtimeRows.get(runtime?.id ?? "")?.state === "ended",
      70_000,
    );
    workers.rows.changePool(KEY, { wanted: true, state: "idle" });
    const asked = second.keeper.ensureReady(KEY, quietly, never);
    await expect(workers.finish(asked)).rejects.toMatchObject({ code: "start_timeout" });
    expect(workers.rows.pool()).toMatchObject({ state: "idle", startAsked: 1, startAnswered: 1 });
    expect(workers.holder).toBe("first");
  });

  it("makes the holder start a pool in a crash loop", async () => {
    const workers = await someWorkers();
    const [first, second] = await workers.two();
    workers.rows.addPool();
    await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
    workers.rows.changePool(KEY, { state: "crash_loop" });
    workers.engine.crash(workers.rows.runtimesOf()[0]?.containerId ?? "", { exitCode: 1 });
    await workers.clock.until(() => workers.rows.runtimesOf()[0]?.state === "ended");
    expect(await workers.finish(second.keeper.ensureReady(KEY, quietly, never))).toMatchObject({
      state: "ready",
      generation: 2,
    });
  });

  it("gets its answer from the next holder if the first holder has gone", async () => {
    const workers = await someWorkers();
    const first = await workers.start("first");
    workers.rows.addPool({
      lease: { holder: "dead", attempt: 1, expiresAt: new Date(workers.clock.now() + LEASE_MS) },
    });
    const asked = first.keeper.ensureReady(KEY, quietly, never);
    expect(await workers.finish(asked)).toMatchObject({ state: "ready" });
    expect(workers.holder).toBe("first");
  });

  it("makes the holder remove a pool, but not one that an install needs again", async () => {
    const workers = await someWorkers();
    const [first, second] = await workers.two();
    workers.rows.addPool();
    await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
    await workers.finish(second.keeper.removeIfUnused(KEY, never));
    expect([...workers.rows.poolRows.keys()]).toEqual([]);
    expect(await workers.engine.listContainers({}, never)).toEqual([]);
    workers.rows.addPool();
    await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
    await workers.rows.pools.unwantUnused(KEY);
    await workers.rows.pools.ensure({ ...workers.rows.pool(), wanted: true });
    await workers.rows.pools.askRemoval(KEY, true);
    await workers.clock.advance(1_000);
    expect(workers.rows.pool()).toMatchObject({ wanted: true, removalAsked: false, state: "ready" });
  });
});

/** One worker keeps one pool, with one runtime. */
async function oneKept() {
  const workers = await someWorkers();
  const first = await workers.start("first");
  workers.rows.addPool();
  await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
  const [runtime] = workers.rows.runtimesOf();
  return { workers, runtime };
}

/** As if another one had taken the lease behind its back. */
function giveLeaseAway(workers: Workers): void {
  const expiresAt = new Date(workers.clock.now() + 60_000);
  workers.rows.changePool(KEY, { lease: { holder: "other", attempt: 9, expiresAt } });
}

describe("a lease", () => {
  it("that is released is claimed at once, and what runs is adopted", async () => {
    const workers = await someWorkers();
    const [first, second] = await workers.two();
    workers.rows.addPool();
    await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
    await first.keeper[Symbol.asyncDispose]();
    // No time passes: the word of it is enough.
    await expect.poll(() => workers.holder).toBe("second");
    await workers.finish(second.keeper.ensureReady(KEY, quietly, never));
    expect(workers.rows.runtimesOf()).toHaveLength(1);
  });

  it("that is taken over makes the new holder correct the row of an adopted runtime by its container", async () => {
    const workers = await someWorkers();
    const [first, second] = await workers.two();
    workers.rows.addPool();
    await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
    const [record] = workers.rows.runtimesOf();
    if (record === undefined) throw new Error("there is no runtime");
    workers.rows.runtimeRows.set(record.id, { ...record, containerId: undefined });
    await first.keeper[Symbol.asyncDispose]();
    await expect.poll(() => workers.holder).toBe("second");
    await workers.finish(second.keeper.ensureReady(KEY, quietly, never));
    expect(workers.rows.runtimesOf()).toMatchObject([{ id: record.id, containerId: record.containerId }]);
  });

  it("that expired while its holder was suspended is not used by that holder", async () => {
    const { workers, runtime } = await oneKept();
    giveLeaseAway(workers);
    await workers.clock.advance(LEASE_MS);
    workers.engine.crash(runtime?.containerId ?? "", { exitCode: 1 });
    await workers.clock.advance(5_000);
    expect(workers.rows.runtimesOf()).toMatchObject([{ id: runtime?.id, state: "ready" }]);
  });
});

describe("a lease of a holder whose clock was set back", () => {
  it("is claimed again, and not used if another worker has claimed it", async () => {
    const { workers, runtime } = await oneKept();
    workers.clock.setBack(3_600_000);
    giveLeaseAway(workers);
    workers.engine.crash(runtime?.containerId ?? "", { exitCode: 1 });
    await workers.clock.advance(5_000);
    expect(workers.rows.runtimesOf()).toMatchObject([{ id: runtime?.id, state: "ready" }]);
  });

  it("stays with that holder if no other worker claims it", async () => {
    const { workers, runtime } = await oneKept();
    workers.clock.setBack(3_600_000);
    workers.engine.crash(runtime?.containerId ?? "", { exitCode: 1 });
    await workers.clock.until(
      () => workers.rows.runtimesOf().length === 2 && workers.rows.pool().state === "ready",
    );
  });
});

describe("logs", () => {
  it("neither lose nor repeat a line when the holder changes", async () => {
    const workers = await someWorkers();
    const [first, second] = await workers.two();
    workers.rows.addPool();
    await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
    const containerId = workers.rows.runtimesOf()[0]?.containerId ?? "";
    const write = (text: string) =>
      workers.engine.writeLog(containerId, { stream: "stdout", at: new Date(workers.clock.now()), text });
    const lines = async () => {
      const folder = join(workers.dataFolder, "logs", KEY);
      const files = await readdir(folder);
      const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
      return texts
        .join("")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.slice(line.lastIndexOf(" ") + 1));
    };
    for (const text of ["one", "two"]) write(text);
    await expect.poll(lines).toEqual(["one", "two"]);
    await first.keeper[Symbol.asyncDispose]();
    write("three");
    await workers.finish(second.keeper.ensureReady(KEY, quietly, never));
    write("four");
    await expect.poll(lines).toEqual(["one", "two", "three", "four"]);
    await workers.clock.advance(2_000);
    expect(await lines()).toEqual(["one", "two", "three", "four"]);
  });
});

describe("sockets of processes", () => {
  it("are removed from a runtime's folder when their process has been dead for the grace period", async () => {
    const workers = await someWorkers();
    await workers.rows.processes.announce({ id: "alive", role: "api", host: "h", pid: 1 }, 60_000);
    const first = await workers.start("first");
    workers.rows.addPool();
    await workers.finish(first.keeper.ensureReady(KEY, quietly, never));
    const folder = first.folders.pathOf(workers.rows.runtimesOf()[0]?.id ?? first.links.ids()[0] ?? raise());
    await mkdir(folder, { recursive: true });
    for (const name of ["h-alive.sock", "h-dead.sock"]) await writeFile(join(folder, name), "");
    await workers.clock.advance(4_000);
    await expect.poll(() => readdir(folder)).not.toContain("h-dead.sock");
    expect(await readdir(folder)).toContain("h-alive.sock");
  });
});

function raise(): never {
  throw new Error("there is no Runtime");
}
