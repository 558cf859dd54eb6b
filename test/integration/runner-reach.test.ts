/** From inside a real container: a plugin with its runner's user id learns no key, and gets nothing in its runner's place. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { formatLabelFilter } from "../../src/engine/labels.ts";
import { type Log, silentLog } from "../../src/observe/log.ts";
import type { SupervisionSettings } from "../../src/runtime/settings.ts";
import { createSocketTransport } from "../../src/transport/socket/socket-transport.ts";
import type { RuntimeLink, Transport } from "../../src/transport/transport.ts";
import { systemClock } from "../../src/util/clock.ts";
import { aPool } from "../harness/builders/a-pool.ts";
import { LocalQueue } from "../harness/doubles/local-queue.ts";
import { MemoryRows } from "../harness/doubles/memory-rows.ts";
import { makePluginImage } from "../harness/rigs/plugin-image.ts";
import { callTool } from "../harness/rigs/runner-process.ts";
import { type RuntimeParts, startRuntimeParts } from "../harness/rigs/runtime-parts.ts";
import { openTestEngine, type TestEngine, within } from "../harness/rigs/test-engine.ts";

const KEY = aPool().key;
const FIXTURE = `
import berth_protocol
def handle(session):
    scope = {"session": session}
    exec(session.parameters["run"], scope)
    session.json({"value": scope.get("value")})
berth_protocol.serve(handle)
`;

/** What each way to the runner's memory, files and folder ends with. */
const REACH = `
import ctypes, errno, os
runner, libc = os.getppid(), ctypes.CDLL(None, use_errno=True)
value = {}
def attempt(name, act):
    try:
        value[name] = repr(act())[:80]
    except OSError as error:
        value[name] = errno.errorcode[error.errno]
def call(name, *args):
    done = getattr(libc, name)(*args)
    if done < 0:
        raise OSError(ctypes.get_errno(), name)
    return done
for name in ("environ", "mem", "maps", "auxv"):
    attempt(name, lambda: open(f"/proc/{runner}/{name}", "rb").read(16))
attempt("fd", lambda: os.listdir(f"/proc/{runner}/fd"))
attempt("cwd", lambda: os.readlink(f"/proc/{runner}/cwd"))
attempt("attach", lambda: call("ptrace", 16, runner, None, None))
attempt("seize", lambda: call("ptrace", 0x4206, runner, None, None))
into = ctypes.create_string_buffer(16)
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
here, there = Part(ctypes.addressof(into), 16), Part(0x400000, 16)
attempt("memory", lambda: call("process_vm_readv", runner, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
attempt("descriptor", lambda: call("syscall", 438, os.pidfd_open(runner), 5, 0))
attempt("key", lambda: open("/run/berth/key").read())
attempt("write", lambda: open("/run/berth/mine", "w"))
value["folder"] = sorted(name.split("-")[0] for name in os.listdir("/run/berth"))
`;

/** Stops the runner, then tries to be it wherever a socket appears. What is answered to it goes into its log. */
const IMPERSONATE = `
import glob, os, signal, socket, threading, time
def dial(path):
    opened = []
    for hello in ('{"hello":"data"}', '{"hello":"control","ready":true,"count":99,"proof":"' + "0" * 64 + '"}'):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(5)
        one.connect(path)
        one.sendall(hello.encode() + b"\\n")
        opened.append(one)
    for one in opened:
        got = one.recv(100)
        os.write(2, b"impostor got %d bytes\\n" % len(got))
def attack():
    while True:
        for path in glob.glob("/run/berth/h-*.sock"):
            try:
                dial(path)
            except OSError:
                pass
        time.sleep(0.01)
threading.Thread(target=attack).start()
os.kill(os.getppid(), signal.SIGSTOP)
`;

let docker: TestEngine;
let image: string;
beforeAll(async () => {
  docker = await openTestEngine();
  image = await makePluginImage(docker.engine, {
    name: docker.name("reach"),
    labels: docker.labels,
    files: { main: FIXTURE },
  });
});
afterAll(() => docker?.[Symbol.asyncDispose]());

interface World {
  readonly rows: MemoryRows;
  readonly dataFolder: string;
  /** What was logged by all processes so far. */
  readonly logged: readonly Record<string, unknown>[];
  /** One more Berth process; `via` changes the transport that it uses. */
  start(
    via?: (transport: Transport) => Transport,
    clocks?: Partial<SupervisionSettings>,
  ): Promise<RuntimeParts & { stop(): Promise<void> }>;
}

async function aWorld(): Promise<World> {
  const rows = new MemoryRows({ clock: systemClock, instanceId: randomBytes(4).toString("hex") });
  const dataFolder = await mkdtemp(join(tmpdir(), "b-"));
  const queue = new LocalQueue();
  onTestFinished(async () => {
    const ours = formatLabelFilter({ instance: rows.instanceId });
    for (const { id } of await docker.engine.listContainers(ours, within()))
      await docker.engine.removeContainer(id, within());
    await docker.engine.removeNetwork(`berth-${rows.instanceId}`, within());
    await rm(dataFolder, { recursive: true, force: true });
  });
  rows.addPool({ imageRef: image });
  const logged: Record<string, unknown>[] = [];
  const log: Log = { ...silentLog, info: (fields) => void logged.push({ ...fields }), child: () => log };
  const start: World["start"] = async (via = (transport) => transport, clocks = {}) => {
    const holder = randomBytes(4).toString("hex");
    const transport = createSocketTransport({ processId: holder, log, helloTimeoutMs: 200 });
    const supervision = { healthMs: 500, healthRetryMs: 100, pingTimeoutMs: 2_000, ...clocks };
    const options = { store: rows, engine: docker.engine, queue, dataFolder, holder, supervision, log };
    const parts = await startRuntimeParts({ ...options, transport: via(transport) });
    let stopped: Promise<void> | undefined;
    const end = async () => {
      await parts[Symbol.asyncDispose]();
      await transport[Symbol.asyncDispose]();
    };
    const stop = () => (stopped ??= end());
    onTestFinished(stop);
    return { ...parts, stop };
  };
  return { rows, dataFolder, logged, start };
}

async function run(link: RuntimeLink, code: string): Promise<Record<string, string>> {
  const { frames } = await callTool(link, { run: code });
  const found = frames.find((frame) => frame.type === "stream");
  const item = JSON.parse(found?.data.text ?? "") as {
    message: { json_object: { value: Record<string, string> } };
  };
  return item.message.json_object.value;
}

const quietly = { onLog: () => undefined };

test("a plugin cannot read its runner's memory, environment, descriptors or key", async () => {
  const { start, dataFolder } = await aWorld();
  const { keeper, directory } = await start();
  const { id } = await keeper.ensureReady(KEY, quietly, within());
  const { link } = await directory.wait(KEY, within());
  expect(await run(link, REACH)).toEqual({
    environ: "EACCES",
    mem: "EACCES",
    maps: "EACCES",
    auxv: "EACCES",
    fd: "EACCES",
    cwd: "EACCES",
    attach: "EPERM",
    seize: "EPERM",
    memory: "EPERM",
    descriptor: "EPERM",
    key: "ENOENT",
    write: "EROFS",
    folder: ["runner.py"],
  });
  // The host's own copy stands outside the folder that the container sees.
  expect((await readdir(join(dataFolder, "run"))).sort()).toEqual([id, `${id}.key`]);
});

test("a plugin that stops its runner and dials in its place gets no link, is ended and is replaced", async () => {
  const { start, rows, logged } = await aWorld();
  // The first process is not to find out and end it.
  const first = await start(undefined, { healthMs: 600_000 });
  const stopped = await first.keeper.ensureReady(KEY, quietly, within());
  const { link } = await first.directory.wait(KEY, within());
  // Nothing comes back: the runner that would carry the answer stands still.
  void callTool(link, { run: IMPERSONATE });
  await expect(async () => {
    const limit = AbortSignal.timeout(200);
    for (;;) await link.ping(limit);
  }).rejects.toThrow();
  // The next process opens a socket of its own, and the impostor is the only one that dials it.
  await first.stop();
  // It has seconds to try before the silence of its runner ends it.
  const second = await start(undefined, { healthMs: 3_000 });
  const ups: string[] = [];
  second.links.onEvent(({ type, id }) => void (type === "up" && ups.push(id)));
  const next = await second.directory.wait(KEY, within());
  expect(next.id).not.toBe(stopped.id);
  expect(await run(next.link, "value = {'new': 'yes'}")).toEqual({ new: "yes" });
  expect(ups).toEqual([next.id]);
  const refused = logged.filter(({ kind, runtime }) => kind === "hello_refused" && runtime === stopped.id);
  expect(refused.length).toBeGreaterThan(0);
  expect(rows.runtimesOf().find(({ id }) => id === stopped.id)?.state).toBe("ended");
});

test("a runtime whose runner is stopped blocks neither its drain nor its successor", async () => {
  const { start, rows } = await aWorld();
  const clocks = { healthMs: 600_000, drainMs: 600_000, retireMs: 600_000 };
  const { keeper, directory } = await start(undefined, clocks);
  const stopped = await keeper.ensureReady(KEY, quietly, within());
  const { link } = await directory.wait(KEY, within());
  const call = callTool(link, { run: "import os, signal; os.kill(os.getppid(), signal.SIGSTOP)" });
  await expect(async () => {
    const limit = AbortSignal.timeout(200);
    for (;;) await link.ping(limit);
  }).rejects.toThrow();
  await rows.runtimes.setState(stopped.id, "draining");
  expect((await call).lost).toBeDefined();
  const next = await directory.wait(KEY, within());
  expect(next.id).not.toBe(stopped.id);
});

test("a plugin that kills its runner ends with it, and a new runtime serves", async () => {
  const { start, rows } = await aWorld();
  const { keeper, directory } = await start();
  const first = await keeper.ensureReady(KEY, quietly, within());
  const { link } = await directory.wait(KEY, within());
  expect((await callTool(link, { run: "import os; os.kill(os.getppid(), 9)" })).lost).toBeDefined();
  const next = await directory.wait(KEY, within());
  expect(next.id).not.toBe(first.id);
  expect(await run(next.link, "value = {'new': 'yes'}")).toEqual({ new: "yes" });
  expect(rows.runtimesOf().at(-1)).toMatchObject({ id: first.id, state: "ended" });
});

test("a worker that dies before the first hello leaves a waiting runner, which the next worker lets start", async () => {
  const { start, rows, dataFolder } = await aWorld();
  const elsewhere = await mkdtemp(join(tmpdir(), "b-"));
  onTestFinished(() => rm(elsewhere, { recursive: true, force: true }));
  const deaf = await start((transport) => ({
    open: (options) => transport.open({ ...options, folder: elsewhere }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }));
  const starting = deaf.keeper.ensureReady(KEY, quietly, within()).catch(() => undefined);
  const row = () => rows.runtimesOf()[0];
  const containers = () =>
    docker.engine.listContainers(formatLabelFilter({ instance: rows.instanceId }), within());
  await expect.poll(async () => (await containers())[0]?.phase, { timeout: 30_000 }).toBe("running");
  const folder = join(dataFolder, "run", row()?.id ?? "");
  expect((await readdir(folder)).sort()).toEqual(["key", "runner.py"]);
  await deaf.stop();
  await starting;
  const next = await start();
  const runtime = await next.directory.wait(KEY, within());
  expect(runtime.id).toBe(row()?.id);
  expect(await run(runtime.link, "value = {'started': 'once'}")).toEqual({ started: "once" });
  expect((await readdir(folder)).sort()).toEqual(["runner.py"]);
});

test("a second process with a socket in the same folder has its own link, before and after the first process stops", async () => {
  const { start } = await aWorld();
  const [one, two] = [await start(), await start()];
  await one.keeper.ensureReady(KEY, quietly, within());
  const far = await two.directory.wait(KEY, within());
  expect(await run(far.link, "value = {'over': 'two'}")).toEqual({ over: "two" });
  await one.stop();
  const three = await start();
  const again = await three.directory.wait(KEY, within());
  expect(again.id).toBe(far.id);
  expect(await run(again.link, "value = {'over': 'three'}")).toEqual({ over: "three" });
});
