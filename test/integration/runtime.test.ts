import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isFault } from "../../src/domain/fault.ts";
import { aPool } from "../harness/builders/a-pool.ts";
import { ask, runnerOf, runtimeWorlds } from "../harness/rigs/runtime-world.ts";
import { within } from "../harness/rigs/test-engine.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";

const MIB = 1 << 20;
const KEY = aPool().key;
const quietly = { onLog: () => undefined };

const aWorld = runtimeWorlds();

describe("a launch", () => {
  it("makes a small plugin ready, with the names and labels of its row", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory } = await world.start();
    const record = await keeper.ensureReady(KEY, quietly, within());
    expect(directory.pick(KEY)?.id).toBe(record.id);
    expect(record).toMatchObject({ state: "ready", generation: 1 });
    const [container] = await world.containers();
    expect(container).toMatchObject({
      id: record.containerId,
      name: `berth-${world.rows.instanceId}-${KEY}-0-g1`,
      phase: "running",
    });
    expect(world.rows.pool().state).toBe("ready");
  });

  it("enforces the limits inside the container", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory } = await world.start({
      profile: { extraEnv: { OF_THE_OPERATOR: "yes", HF_HOME: "/models" } },
    });
    await keeper.ensureReady(KEY, quietly, within());
    const runtime = await directory.wait(KEY, within());
    const see = (expression: string) => ask(runtime, { eval: expression });
    const memory = "/sys/fs/cgroup/memory";
    const isV2 = await see('os.path.exists("/sys/fs/cgroup/cgroup.controllers")');
    const limit = isV2 ? "/sys/fs/cgroup/memory.max" : `${memory}/memory.limit_in_bytes`;
    expect(Number(await see(`open("${limit}").read()`))).toBe((64 + 16 + 16) * MIB);
    expect(await see("[os.getuid(), os.getgid()]")).toEqual([100_007, 100_007]);
    expect(await see("resource.getrlimit(resource.RLIMIT_NOFILE)[0]")).toBe(4096);
    const tmp = 'os.statvfs("/tmp")';
    expect(await see(`${tmp}.f_blocks * ${tmp}.f_frsize`)).toBe(16 * MIB);
    expect(await see(`${tmp}.f_files`)).toBe((16 * MIB) / 4096);
    expect(await see('[l.split()[3] for l in open("/proc/mounts") if l.split()[1] == "/tmp"][0]')).toMatch(
      /rw,nosuid,nodev,noexec/,
    );
    expect(await see('os.access("/plugin", os.W_OK) or os.access("/run/berth", os.W_OK)')).toBe(false);
    expect(
      await see('[l for l in open("/proc/self/status") if l.startswith(("CapEff", "NoNewPrivs"))]'),
    ).toEqual(["CapEff:\t0000000000000000\n", "NoNewPrivs:\t1\n"]);
    expect(await see("dict(os.environ)")).toMatchObject({
      HOME: "/tmp",
      INSTALL_METHOD: "local",
      OMP_NUM_THREADS: "1",
      OF_THE_OPERATOR: "yes",
      HF_HOME: "/models",
      TORCH_HOME: "/tmp/.cache/torch",
    });
  });

  it("has the tables with which the SDK counts tokens, in a cache that takes others too", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory } = await world.start();
    await keeper.ensureReady(KEY, quietly, within());
    const runtime = await directory.wait(KEY, within());
    const see = (expression: string) => ask(runtime, { eval: expression });
    const cache = 'os.environ["TIKTOKEN_CACHE_DIR"]';
    const hash = `__import__("hashlib").sha256(open(os.path.join(${cache}, name), "rb").read()).hexdigest()`;
    // The names under which the library looks for them, and the contents that it accepts.
    expect(await see(`{name: ${hash} for name in os.listdir(${cache})}`)).toMatchObject({
      "6d1cbeee0f20b3d9449abfede4726ed8212e3aee":
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
      "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6":
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    });
    expect(await see(`os.access(${cache}, os.W_OK)`)).toBe(true);
  });

  it("runs a plugin that the operator names on a copy of its files, where it may write within its storage", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory } = await world.start({ profile: { writablePlugins: [aPool().pluginId] } });
    await keeper.ensureReady(KEY, quietly, within());
    const runtime = await directory.wait(KEY, within());
    const see = (expression: string) => ask(runtime, { eval: expression });
    expect(await see("os.getcwd()")).toBe("/tmp/plugin");
    expect(await see('open("beside.txt", "w").write("1234")')).toBe(4);
    expect(await see('open("/tmp/plugin/beside.txt").read()')).toBe("1234");
    await expect(see(`open("more", "wb", 0).write(bytes(${17 * MIB})) - ${17 * MIB}`)).resolves.toBeLessThan(
      0,
    );
    await expect(see('open("/plugin/beside.txt", "w")')).rejects.toThrow("Read-only file system");
  });

  it("reports that such a copy does not fit into the storage of the plugin", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image, limits: { ...aPool().limits, storageBytes: 4096 } });
    const { keeper } = await world.start({ profile: { writablePlugins: ["*"] } });
    const fault = await keeper.ensureReady(KEY, quietly, within()).catch((error: unknown) => error);
    if (!isFault(fault, "start_crashed")) throw fault;
    expect(String(fault.details["logs"])).toContain(
      "cannot be copied to /tmp/plugin; its storage may be too small",
    );
  });

  it("reports a crash at import with its traceback and leaves no container and no folder", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image, runner: { entrypoint: "crash_at_import" } });
    const { keeper } = await world.start();
    const fault = await keeper.ensureReady(KEY, quietly, within()).catch((error: unknown) => error);
    if (!isFault(fault, "start_crashed")) throw fault;
    expect(fault.details).toMatchObject({ exitCode: 1, oom: false });
    expect(String(fault.details["logs"])).toContain(
      "ModuleNotFoundError: No module named 'nothing_of_that_name'",
    );
    expect(await world.containers()).toEqual([]);
    expect(await readdir(join(world.dataFolder, "run"))).toEqual([]);
    expect(world.rows.runtimesOf()[0]).toMatchObject({
      state: "ended",
      end: { reason: "start_failed", exitCode: 1 },
    });
    expect(world.rows.pool().state).toBe("idle");
  });

  it("gives up on a plugin that never becomes ready, and reports its output", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image, runner: { entrypoint: "never_ready" } });
    const { keeper } = await world.start({ launch: { startTimeoutMs: 1_500 } });
    const fault = await keeper.ensureReady(KEY, quietly, within()).catch((error: unknown) => error);
    if (!isFault(fault, "start_timeout")) throw fault;
    expect(fault.details).toMatchObject({ startTimeoutMs: 1_500 });
    expect(String(fault.details["logs"])).toContain("thinking");
    expect(await world.containers()).toEqual([]);
  });
});

describe("a runtime that dies", () => {
  it("is replaced at once, and its caller gets the exit code", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory } = await world.start();
    const first = await keeper.ensureReady(KEY, quietly, within());
    const began = performance.now();
    const fault = await ask(await directory.wait(KEY, within()), { exit: 3 }).catch(
      (error: unknown) => error,
    );
    expect(performance.now() - began).toBeLessThan(SOON_MS);
    expect(isFault(fault, "plugin_crashed") && fault.details).toMatchObject({ exitCode: 3, oom: false });
    const next = await directory.wait(KEY, within());
    expect(performance.now() - began).toBeLessThan(SOON_MS);
    expect(next.id).not.toBe(first.id);
    expect(await ask(next, { eval: "1 + 1" })).toBe(2);
    expect(world.rows.runtimesOf()[1]).toMatchObject({
      id: first.id,
      end: { reason: "crashed", exitCode: 3 },
    });
  });

  it("is reported as out of memory if that was the cause", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory } = await world.start();
    const first = await keeper.ensureReady(KEY, quietly, within());
    const fault = await ask(await directory.wait(KEY, within()), { eat: true }).catch(
      (error: unknown) => error,
    );
    expect(isFault(fault, "plugin_crashed") && fault.details).toMatchObject({ oom: true });
    await directory.wait(KEY, within());
    expect(world.rows.runtimesOf()[1]).toMatchObject({ id: first.id, end: { reason: "oom", oom: true } });
  });

  it("is replaced if its whole container is killed from outside", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory } = await world.start();
    const first = await keeper.ensureReady(KEY, quietly, within());
    const runtime = await directory.wait(KEY, within());
    const lost = ask(runtime, { eval: '__import__("time").sleep(60)' }).catch((error: unknown) => error);
    await world.engine.killContainer(first.containerId ?? "", within());
    expect(await lost).toMatchObject({ code: "plugin_crashed" });
    expect((await directory.wait(KEY, within())).id).not.toBe(first.id);
  });

  // short clocks; where the machine has no time for a verdict, the patience ends the wait
  const supervision = {
    healthMs: 300,
    healthRetryMs: 200,
    pingTimeoutMs: 1_000,
    healthPatienceMs: 20_000,
  };

  it("is replaced if its process is stopped, and its caller gets plugin_unhealthy", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory } = await world.start({ supervision });
    const first = await keeper.ensureReady(KEY, quietly, within());
    const runtime = await directory.wait(KEY, within());
    const stop = '[os.kill(os.getpid(), 19), __import__("time").sleep(60)]';
    const fault = await ask(runtime, { eval: stop }).catch((error: unknown) => error);
    expect(fault).toMatchObject({
      code: "plugin_unhealthy",
      details: { reason: "the plugin's process is stopped" },
    });
    expect((await directory.wait(KEY, within())).id).not.toBe(first.id);
    expect(world.rows.runtimeRows.get(first.id)?.end).toMatchObject({
      reason: "unhealthy",
      action: { kind: "start_now" },
    });
  });

  it("is replaced if its runner is stopped, because no other process answers for it", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory } = await world.start({ supervision });
    const first = await keeper.ensureReady(KEY, quietly, within());
    const runtime = await directory.wait(KEY, within());
    const lost = ask(runtime, { eval: '__import__("time").sleep(60)' }).catch((error: unknown) => error);
    process.kill(await runnerOf(first.containerId ?? ""), "SIGSTOP");
    expect(await lost).toMatchObject({ code: "plugin_unhealthy" });
    expect((await directory.wait(KEY, within())).id).not.toBe(first.id);
    expect(world.rows.runtimeRows.get(first.id)?.end?.reason).toBe("unhealthy");
    expect(await world.containers()).toHaveLength(1);
  });

  it("leaves its log, which can be read together with its successor's", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper, directory, logs } = await world.start();
    const first = await keeper.ensureReady(KEY, quietly, within());
    await ask(await directory.wait(KEY, within()), { say: "last words", exit: 1 }).catch(() => undefined);
    const next = await directory.wait(KEY, within());
    await ask(next, { say: "first words" });
    const said: string[] = [];
    for await (const { text, runtimeId } of logs.read(KEY, { follow: true }, within())) {
      if (/words/.test(text)) said.push(`${runtimeId} ${text}`);
      if (said.length === 2) break;
    }
    expect(said).toEqual([`${first.id} last words`, `${next.id} first words`]);
  });
});

describe("a restarted worker", () => {
  it("adopts the running container without a restart, and its log has each line once", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const before = await world.start();
    const record = await before.keeper.ensureReady(KEY, quietly, within());
    await ask(await before.directory.wait(KEY, within()), { say: "line one" });
    await before[Symbol.asyncDispose]();
    const after = await world.start();
    const runtime = await after.directory.wait(KEY, within());
    expect(runtime.id).toBe(record.id);
    expect((await after.keeper.ensureReady(KEY, quietly, within())).containerId).toBe(record.containerId);
    await ask(runtime, { say: "line two" });
    const said: string[] = [];
    for await (const { text } of after.logs.read(KEY, { follow: true }, within())) {
      if (text.startsWith("line")) said.push(text);
      if (text === "line two") break;
    }
    expect(said).toEqual(["line one", "line two"]);
    expect(world.rows.runtimesOf()).toHaveLength(1);
  });

  it("finds a container that has died in the meantime, records the cause and replaces it", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const before = await world.start();
    const record = await before.keeper.ensureReady(KEY, quietly, within());
    await before[Symbol.asyncDispose]();
    await world.engine.killContainer(record.containerId ?? "", within());
    const after = await world.start();
    const runtime = await after.directory.wait(KEY, within());
    expect(runtime.id).not.toBe(record.id);
    expect(world.rows.runtimesOf()[1]?.end).toMatchObject({ reason: "lost", exitCode: 137 });
  });
});

describe("two keepers", () => {
  it("share one container: one keeper holds the lease, and both reach it over their own links", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const one = await world.start({ holder: "one" });
    const record = await one.keeper.ensureReady(KEY, quietly, within());
    const two = await world.start({ holder: "two" });
    const runtime = await two.directory.wait(KEY, within());
    expect(runtime.id).toBe(record.id);
    expect(await ask(runtime, { eval: "6 * 7" })).toBe(42);
    expect(world.rows.pool().lease?.holder).toBe("one");
    expect(await world.containers()).toHaveLength(1);
  });
});

describe("the end", () => {
  it("of an unused pool removes its container, folder, logs and row", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const { keeper } = await world.start();
    await keeper.ensureReady(KEY, quietly, within());
    await keeper.removeIfUnused(KEY, within());
    expect(await world.containers()).toEqual([]);
    expect(await readdir(join(world.dataFolder, "run"))).toEqual([]);
    expect(await readdir(join(world.dataFolder, "logs"))).toEqual([]);
    expect(world.rows.poolRows.size).toBe(0);
  });

  it("of all pools leaves nothing running, and the next worker starts them again", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: world.image });
    const before = await world.start();
    await before.keeper.ensureReady(KEY, quietly, within());
    await before.keeper.shutdownAll(within());
    await before[Symbol.asyncDispose]();
    expect(await world.containers()).toEqual([]);
    const after = await world.start();
    expect(await ask(await after.directory.wait(KEY, within()), { eval: "True" })).toBe(true);
  });
});
