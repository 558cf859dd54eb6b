/** Only the runner gets in: what a plugin can say to its host's socket, and when the runner lets the plugin start. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { access, readdir, readFile, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { silentLog } from "../../src/observe/log.ts";
import { HANDED_OUT_KEY, keptKeyFile, RunnerKey } from "../../src/transport/runner-key.ts";
import { type Pair, RunnerListener } from "../../src/transport/socket/runner-listener.ts";
import { createSocketTransport } from "../../src/transport/socket/socket-transport.ts";
import { callTool, makeRunFolder, openLink, startRunner, texts } from "../harness/rigs/runner-process.ts";
import { listenRaw } from "../harness/servers/raw-host.ts";

interface Keyed {
  readonly folder: string;
  readonly key: RunnerKey;
  readonly keyFile: string;
}

async function aKeyedFolder(): Promise<Keyed> {
  const folder = await makeRunFolder();
  onTestFinished(async () => {
    await rm(folder, { recursive: true, force: true });
    await rm(keptKeyFile(folder), { force: true });
  });
  const key = await RunnerKey.keepNew(folder);
  await key.handOut();
  return { folder, key, keyFile: join(folder, HANDED_OUT_KEY) };
}

async function startKeyed({ folder, keyFile }: Keyed) {
  const runner = await startRunner({ plugin: "echo", folder, args: ["--key-file", keyFile] });
  onTestFinished(() => runner[Symbol.asyncDispose]() as Promise<void>);
  return runner;
}

async function openKeyedLink({ folder }: Keyed, helloTimeoutMs = 1_000) {
  const transport = createSocketTransport({ processId: "one", log: silentLog, helloTimeoutMs });
  onTestFinished(() => transport[Symbol.asyncDispose]() as Promise<void>);
  return await openLink(transport, folder);
}

/** Resolves when the host has taken the connection up. */
async function dial(path: string, text: string | Buffer): Promise<Socket> {
  const socket = connect(path);
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => undefined);
  socket.resume();
  await once(socket, "connect");
  if (text.length > 0) socket.write(text);
  return socket;
}

async function childrenOf(pid: number | undefined): Promise<string> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim();
}

test("a runner with a key is admitted, the key is removed before the plugin starts, and calls are answered", async () => {
  const keyed = await aKeyedFolder();
  const { link, seen, notices } = await openKeyedLink(keyed);
  await startKeyed(keyed);
  await seen("ready");
  await expect(access(keyed.keyFile)).rejects.toMatchObject({ code: "ENOENT" });
  expect(texts(await callTool(link, { text: "in" }))).toEqual(["in"]);
  expect(notices).toEqual([]);
});

test("the plugin does not start while its key can be read, and starts when the host reports that the key is gone", async () => {
  const keyed = await aKeyedFolder();
  const listening = listenRaw(keyed.folder, "raw");
  const runner = await startKeyed(keyed);
  const host = await listening;
  onTestFinished(() => host[Symbol.asyncDispose]() as Promise<void>);
  const pongs = () => host.controlLines().filter((line) => line.includes('"op":"pong"')).length;
  for (const count of [1, 2, 3]) {
    host.control.write(`{"op":"ping","id":${count}}\n{"op":"start"}\n`);
    await expect.poll(pongs, { timeout: 20_000 }).toBe(count);
    expect(await childrenOf(runner.process.pid)).toBe("");
  }
  await rm(keyed.keyFile);
  host.control.write('{"op":"start"}\n');
  await expect.poll(() => childrenOf(runner.process.pid), { timeout: 20_000 }).not.toBe("");
});

test("a runner that waits for the removal of its key ends at SIGTERM and reports its exit", async () => {
  const keyed = await aKeyedFolder();
  const listening = listenRaw(keyed.folder, "raw");
  const runner = await startKeyed(keyed);
  const host = await listening;
  onTestFinished(() => host[Symbol.asyncDispose]() as Promise<void>);
  runner.process.kill("SIGTERM");
  expect(await runner.exited).toEqual({ code: 143, signal: null });
  expect(host.controlLines().at(-1)).toContain('"op":"exit"');
});

test("a runner that is started a second time reports that its key is gone", async () => {
  const keyed = await aKeyedFolder();
  await keyed.key.retire();
  const runner = await startKeyed(keyed);
  expect(await runner.exited).toEqual({ code: 78, signal: null });
  expect(runner.stderr()).toContain("a Container can be started only once, because its key is removed then");
});

const ZEROS = "0".repeat(64);

test.each([
  ["no proof", '{"hello":"data"}\n', "no proof of the key"],
  ["a wrong proof", `{"hello":"control","ready":true,"count":1,"proof":"${ZEROS}"}\n`, "no proof of the key"],
  ["an invalid proof", '{"hello":"data","count":1,"proof":"\\ud800"}\n', "not a hello"],
  ["an invalid count", `{"hello":"data","count":1e999,"proof":"${ZEROS}"}\n`, "not a hello"],
  ["garbage", "GET / HTTP/1.1\r\n\r\n", "not a hello"],
  ["bytes that are not text", Buffer.from([0xff, 0x00, 0xfe, 0x0a]), "not a hello"],
  ["a hello without an end", "x".repeat(5_000), "not a hello"],
  ["half a hello", '{"hello":"data","count":1', "no pair of connections in time"],
  ["nothing", "", "no pair of connections in time"],
])(
  "a client that sends %s is refused with one notice, and the runner is admitted afterwards",
  async (_what, text, why) => {
    const keyed = await aKeyedFolder();
    const { seen, notices } = await openKeyedLink(keyed, 200);
    const socket = await dial(join(keyed.folder, "h-one.sock"), text);
    await once(socket, "close");
    await seen("notice");
    expect(notices).toEqual([{ kind: "hello_refused", count: 1, why }]);
    await startKeyed(keyed);
    await seen("ready");
  },
);

type SayHello = (role: "data" | "control", count: number, name?: string) => string;

/** What the holder of the folder's key says. */
async function hellosOf({ folder }: Keyed): Promise<SayHello> {
  const kept = await readFile(keptKeyFile(folder));
  return (role, count, name = "h-one.sock") => {
    const proof = createHmac("sha256", kept).update(`${name}\n${role}\n${count}`).digest("hex");
    return `${JSON.stringify({ hello: role, count, proof, ...(role === "control" ? { ready: false } : {}) })}\n`;
  };
}

/** A door, and whoever holds the key on its other side. */
async function aListener(refusedWindowMs = 1_000) {
  const keyed = await aKeyedFolder();
  const path = join(keyed.folder, "h-one.sock");
  const pairs: Pair[] = [];
  const notices: Record<string, unknown>[] = [];
  const runnerListener = new RunnerListener({
    path,
    helloTimeoutMs: 10_000,
    refusedWindowMs,
    key: keyed.key,
    onPair: (pair) => void pairs.push(pair),
    onNotice: (notice) => void notices.push(notice),
  });
  onTestFinished(() => {
    runnerListener.close();
    for (const { data, control } of pairs) for (const socket of [data, control]) socket.destroy();
  });
  await runnerListener.open();
  return { runnerListener, path, pairs, notices, hello: await hellosOf(keyed) };
}

test("a hello is accepted only once, and a hello for another process's socket is never accepted", async () => {
  const { runnerListener, path, pairs, notices, hello } = await aListener();
  const first = await Promise.all([dial(path, hello("data", 1)), dial(path, hello("control", 2))]);
  await expect.poll(() => pairs.length).toBe(1);
  for (const socket of first) socket.destroy();
  await runnerListener.open();
  for (const text of [hello("data", 1), hello("control", 2), hello("data", 3, "h-two.sock")]) {
    await once(await dial(path, text), "close");
  }
  await expect.poll(() => notices, { timeout: 5_000 }).toMatchObject([{ kind: "hello_refused", count: 3 }]);
  await Promise.all([dial(path, hello("data", 4)), dial(path, hello("control", 5))]);
  await expect.poll(() => pairs.length).toBe(2);
});

test("silent open connections do not keep the runner out, and their number is bounded", async () => {
  const { path, pairs, hello } = await aListener();
  const held: Socket[] = [];
  // One after the other: more at once than the kernel queues for a process are turned away by it.
  for (let count = 0; count < 12; count++) held.push(await dial(path, ""));
  const closed = () => held.filter((socket) => socket.closed).length;
  await expect.poll(closed, { timeout: 5_000 }).toBe(4);
  await Promise.all([dial(path, hello("data", 1)), dial(path, hello("control", 2))]);
  await expect.poll(() => pairs.length, { timeout: 5_000 }).toBe(1);
  await expect.poll(closed, { timeout: 5_000 }).toBe(12);
});

test("a runner that lost one of its connections dials both again and replaces the old ones", async () => {
  const { path, pairs, hello } = await aListener();
  const stale = await dial(path, hello("data", 1));
  await expect.poll(() => stale.readyState).toBe("open");
  await dial(path, hello("data", 2));
  await once(stale, "close");
  await dial(path, hello("control", 3));
  await expect.poll(() => pairs.length).toBe(1);
});

test("a client that keeps dialing without the key is blocked after 32 connections until the window ends, with one notice", async () => {
  const { path, pairs, notices, hello } = await aListener(3_000);
  for (let count = 0; count < 32; count++) await once(await dial(path, "no\n"), "close");
  // The door is shut: its socket is gone until the window is over.
  expect(await readdir(join(path, ".."))).toEqual([HANDED_OUT_KEY]);
  await expect.poll(() => readdir(join(path, "..")), { timeout: 10_000 }).toContain("h-one.sock");
  expect(notices).toEqual([{ kind: "hello_refused", count: 32, why: "not a hello" }]);
  await Promise.all([dial(path, hello("data", 1)), dial(path, hello("control", 2))]);
  await expect.poll(() => pairs.length).toBe(1);
});

test("thousands of invalid control messages are counted once a second, and the messages after them are read", async () => {
  const keyed = await aKeyedFolder();
  const { link, seen, notices } = await openKeyedLink(keyed);
  const [hello, path] = [await hellosOf(keyed), join(keyed.folder, "h-one.sock")];
  const [, control] = [await dial(path, hello("data", 1)), await dial(path, hello("control", 2))];
  await seen("up");
  control.write('{"op":"exit","exit_code":null,"signal":"a\\u0000b","oom":false}\n'.repeat(3_000));
  control.write('{"op":"a message of a newer runner"}\n{"op":"ready"}\n');
  const refused = () => notices.reduce((sum, { count = 0 }) => sum + Number(count), 0);
  await expect.poll(refused, { timeout: 20_000 }).toBe(3_000);
  expect(new Set(notices.map(({ kind }) => kind))).toEqual(new Set(["control_refused", "control_delayed"]));
  // One line a second, however slowly they were read.
  expect(notices.length).toBeLessThan(30);
  expect(link.up).toBe(true);
  await seen("ready");
});
