import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { isFault } from "../../src/domain/fault.ts";
import type { SessionFrame } from "../../src/domain/frame.ts";
import { formatLabelFilter } from "../../src/engine/labels.ts";
import { silentLog } from "../../src/observe/log.ts";
import type { ReachableRuntime } from "../../src/runtime/runtimes.ts";
import { createSocketTransport } from "../../src/transport/socket/socket-transport.ts";
import { systemClock } from "../../src/util/clock.ts";
import { aPool } from "../harness/builders/a-pool.ts";
import { LocalQueue } from "../harness/doubles/local-queue.ts";
import { MemoryRows } from "../harness/doubles/memory-rows.ts";
import { makePluginImage } from "../harness/rigs/plugin-image.ts";
import {
  type RuntimeParts,
  type RuntimePartsOptions,
  startRuntimeParts,
} from "../harness/rigs/runtime-parts.ts";
import { openTestEngine, type TestEngine, within } from "../harness/rigs/test-engine.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";

const MIB = 1 << 20;
const KEY = aPool().key;
const FIXTURE = `
import os, resource, sys
import berth_protocol
def handle(session):
    ask = session.parameters
    if "say" in ask:
        print(ask["say"], file=sys.stderr, flush=True)
    if "exit" in ask:
        os._exit(ask["exit"])
    if "eat" in ask:
        hoard = []
        while True:
            hoard.append(bytearray(os.urandom(1) * 1048576))
    if "eval" in ask:
        session.json({"value": eval(ask["eval"], {"os": os, "resource": resource, "open": open})})
berth_protocol.serve(handle)
`;

let docker: TestEngine;
let image: string;

beforeAll(async () => {
  docker = await openTestEngine();
  image = await makePluginImage(docker.engine, {
    name: docker.name("fixture"),
    labels: docker.labels,
    files: {
      main: FIXTURE,
      crash_at_import: 'import nothing_of_that_name\nprint("never said")\n',
      never_ready: "import time\nprint('thinking', flush=True)\ntime.sleep(600)\n",
    },
  });
});
afterAll(() => docker?.[Symbol.asyncDispose]());

/** One instance with its own rows, data folder and network; `start` begins a Berth process on it, as often as wanted. */
class World implements AsyncDisposable {
  readonly rows = new MemoryRows({ clock: systemClock, instanceId: randomBytes(4).toString("hex") });
  readonly queue = new LocalQueue();
  readonly dataFolder: string;
  readonly #running = new Set<RuntimeParts>();

  constructor(dataFolder: string) {
    this.dataFolder = dataFolder;
  }

  async start(options: Partial<RuntimePartsOptions> = {}): Promise<RuntimeParts> {
    const holder = options.holder ?? randomBytes(4).toString("hex");
    const transport = createSocketTransport({ processId: holder, log: silentLog, settleMs: SOON_MS });
    const parts = await startRuntimeParts({
      store: this.rows,
      engine: docker.engine,
      queue: this.queue,
      dataFolder: this.dataFolder,
      transport,
      holder,
      ...options,
    });
    const stop = parts[Symbol.asyncDispose].bind(parts);
    const running: RuntimeParts = {
      ...parts,
      [Symbol.asyncDispose]: async () => {
        if (!this.#running.delete(running)) return;
        await stop();
        await transport[Symbol.asyncDispose]();
      },
    };
    this.#running.add(running);
    return running;
  }

  containers() {
    return docker.engine.listContainers(formatLabelFilter({ instance: this.rows.instanceId }), within());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const parts of [...this.#running]) await parts[Symbol.asyncDispose]();
    for (const { id } of await this.containers()) await docker.engine.removeContainer(id, within());
    await docker.engine.removeNetwork(`berth-${this.rows.instanceId}`, within());
    await rm(this.dataFolder, { recursive: true, force: true });
  }
}

const worlds: World[] = [];
async function aWorld(): Promise<World> {
  const world = new World(await mkdtemp(join(tmpdir(), "b-")));
  worlds.push(world);
  return world;
}
afterEach(async () => {
  for (const world of worlds.splice(0)) await world[Symbol.asyncDispose]();
});

/** Resolves with the value that the plugin answered, rejects with the Fault that ended the session. */
function ask({ link }: ReachableRuntime, parameters: Record<string, unknown>): Promise<unknown> {
  const sessionId = randomBytes(8).toString("hex");
  const line = JSON.stringify({
    session_id: sessionId,
    conversation_id: null,
    message_id: null,
    app_id: null,
    endpoint_id: null,
    context: {},
    event: "request",
    data: { tool_parameters: parameters },
  });
  return new Promise((resolve, reject) => {
    let value: unknown;
    const onFrame = (frame: SessionFrame) => {
      if (frame.type === "stream") value = JSON.parse(frame.data.text).message.json_object.value;
      if (frame.type === "error") reject(new Error(JSON.stringify(frame.error)));
      if (frame.type === "end") resolve(value);
    };
    link.openSession(sessionId, line, { onFrame, onLost: reject });
  });
}

/** The runner's process, as the machine of the engine counts it. */
async function runnerOf(containerId: string): Promise<number> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
    const [command = "", ...rest] = (await read("cmdline")).split("\0");
    if (!command.endsWith("python3") || !rest.some((word) => word.endsWith("runner.py"))) continue;
    if ((await read("cgroup")).includes(containerId)) return Number(pid);
  }
  throw new Error(`no runner in ${containerId}`);
}

const quietly = { onLog: () => undefined };

describe("a launch", () => {
  it("makes a small plugin ready, under the names and labels of its row", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
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

  it("puts the limits in force inside the Container", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
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

  it("runs a plugin that the operator names on a copy of its files, where it may write within its storage", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
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

  it("tells a crash at import with its traceback and leaves no Container and no folder", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image, runner: { entrypoint: "crash_at_import" } });
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

  it("gives up on a plugin that never gets ready, with what it said", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image, runner: { entrypoint: "never_ready" } });
    const { keeper } = await world.start({ launch: { startTimeoutMs: 1_500 } });
    const fault = await keeper.ensureReady(KEY, quietly, within()).catch((error: unknown) => error);
    if (!isFault(fault, "start_timeout")) throw fault;
    expect(fault.details).toMatchObject({ startTimeoutMs: 1_500 });
    expect(String(fault.details["logs"])).toContain("thinking");
    expect(await world.containers()).toEqual([]);
  });
});

describe("a Runtime that dies", () => {
  it("is replaced at once, and its caller has the exit code", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
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

  it("is told apart where it ran out of memory", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
    const { keeper, directory } = await world.start();
    const first = await keeper.ensureReady(KEY, quietly, within());
    const fault = await ask(await directory.wait(KEY, within()), { eat: true }).catch(
      (error: unknown) => error,
    );
    expect(isFault(fault, "plugin_crashed") && fault.details).toMatchObject({ oom: true });
    await directory.wait(KEY, within());
    expect(world.rows.runtimesOf()[1]).toMatchObject({ id: first.id, end: { reason: "oom", oom: true } });
  });

  it("is noticed where its whole Container was killed from outside", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
    const { keeper, directory } = await world.start();
    const first = await keeper.ensureReady(KEY, quietly, within());
    const runtime = await directory.wait(KEY, within());
    const lost = ask(runtime, { eval: '__import__("time").sleep(60)' }).catch((error: unknown) => error);
    await docker.engine.killContainer(first.containerId ?? "", within());
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

  it("is replaced where its process is stopped, and its caller hears that it hung", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
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

  it("is replaced where its runner is stopped: no other process answers in its place", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
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

  it("leaves its log behind, readable beside that of its successor", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
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
  it("adopts the running Container and restarts nothing; its log has each line once", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
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

  it("finds what died meanwhile, tells its cause and replaces it", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
    const before = await world.start();
    const record = await before.keeper.ensureReady(KEY, quietly, within());
    await before[Symbol.asyncDispose]();
    await docker.engine.killContainer(record.containerId ?? "", within());
    const after = await world.start();
    const runtime = await after.directory.wait(KEY, within());
    expect(runtime.id).not.toBe(record.id);
    expect(world.rows.runtimesOf()[1]?.end).toMatchObject({ reason: "lost", exitCode: 137 });
  });
});

describe("two keepers", () => {
  it("share one Container: one holds the lease, both reach it over links of their own", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
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
  it("of a Pool that nobody uses takes Container, folder, logs and row with it", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
    const { keeper } = await world.start();
    await keeper.ensureReady(KEY, quietly, within());
    await keeper.removeIfUnused(KEY, within());
    expect(await world.containers()).toEqual([]);
    expect(await readdir(join(world.dataFolder, "run"))).toEqual([]);
    expect(await readdir(join(world.dataFolder, "logs"))).toEqual([]);
    expect(world.rows.poolRows.size).toBe(0);
  });

  it("of everything leaves nothing running, and the next worker starts what ran", async () => {
    const world = await aWorld();
    world.rows.addPool({ imageRef: image });
    const before = await world.start();
    await before.keeper.ensureReady(KEY, quietly, within());
    await before.keeper.shutdownAll(within());
    await before[Symbol.asyncDispose]();
    expect(await world.containers()).toEqual([]);
    const after = await world.start();
    expect(await ask(await after.directory.wait(KEY, within()), { eval: "True" })).toBe(true);
  });
});
