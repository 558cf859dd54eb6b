/** The runner and the socket transport together, on real plugins as plain processes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { isFault } from "../../src/domain/fault.ts";
import { callTool, openLink, requestLine, texts } from "../harness/rigs/runner-process.ts";
import {
  groupMembers,
  killGroup,
  makeFolder,
  makeTransport,
  pluginPid,
  rawHost,
  run,
  started,
} from "../harness/rigs/transport.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";

const MB = 1024 * 1024;

/** A busy machine may read so much later than a runner would wait for a host that has stopped reading. */
const PATIENT = ["--stall-ms", "60000"];

test("a call streams its messages in order and ends once", async () => {
  const { link, watched } = await started("echo");
  const outcome = await callTool(link, { text: "hé", messages: 3 });
  expect(texts(outcome)).toEqual(["hé", "hé", "hé"]);
  expect(outcome.frames.at(-1)?.type).toBe("end");
  expect(link.openSessions).toBe(0);
  expect(watched.events.slice(0, 2)).toEqual(["up", "ready"]);
});

test("a host killed during a 5 MB request leaves nothing of it behind, and the next call is answered correctly", async () => {
  const folder = await makeFolder();
  const runner = await run("echo", folder);
  const host = spawn(
    process.execPath,
    [resolve(import.meta.dirname, "../harness/processes/dying-host.ts"), folder],
    {
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  const [, signal] = await once(host, "exit");
  expect(signal).toBe("SIGKILL");
  const { link, seen } = await openLink(makeTransport(), folder);
  await seen("ready");
  expect(texts(await callTool(link, { text: "whole" }))).toEqual(["whole"]);
  expect(texts(await callTool(link, { text: "y".repeat(5_000_000) }))[0]).toHaveLength(5_000_000);
  expect(runner.stdout()).not.toContain("bad line");
});

test("two concurrent hosts each get only their own sessions", async () => {
  const { link: one, folder } = await started("echo");
  const second = await openLink(makeTransport({ processId: "two" }), folder);
  await second.seen("ready");
  const calls = Array.from({ length: 40 }, async (_, index) => {
    const link = index % 2 === 0 ? one : second.link;
    return texts(await callTool(link, { text: `n${index}`, messages: 3, delay_ms: index % 5 }));
  });
  expect(await Promise.all(calls)).toEqual(calls.map((_, index) => Array(3).fill(`n${index}`)));
});

test("a host that leaves during a call and returns finds the plugin ready and gets nothing of the old call", async () => {
  const { link, folder } = await started("echo");
  const first = Promise.withResolvers<void>();
  const cut = callTool(link, { messages: 40, delay_ms: 5 }, { onFrame: () => first.resolve() });
  await first.promise;
  await link[Symbol.asyncDispose]();
  expect((await cut).lost?.code).toBe("link_lost");
  const again = await openLink(makeTransport(), folder);
  await again.seen("ready");
  expect(texts(await callTool(again.link, { text: "back" }))).toEqual(["back"]);
});

test("a host that stops reading loses only its own sessions and gets their ids", async () => {
  const { link, folder } = await started("echo", {
    args: ["--buffer-bytes", String(MB), "--stall-ms", "200"],
  });
  const slow = await rawHost(folder, "slow");
  slow.data.write(`${requestLine("stuck", { bytes: 100_000, messages: 200 })}\n`);
  const told = async () => {
    expect(texts(await callTool(link, { text: "quick" }))).toEqual(["quick"]);
    return slow.controlText();
  };
  await expect.poll(told, { timeout: 20_000 }).toContain('{"op":"dropped","session_ids":["stuck"]');
});

test("a plugin that does not read its requests fills a bounded buffer, and more requests are refused as busy", async () => {
  const folder = await makeFolder();
  const { link, seen } = await openLink(makeTransport({ outgoingBytesMax: MB }), folder, {
    frameBytesMax: MB,
  });
  await run("never-ready", folder);
  await seen("up");
  const line = requestLine("s", { text: "x".repeat(500_000) });
  const open = (count: number) => {
    for (let index = 0; index < count; index++) {
      link.openSession(`s${index}`, line, { onFrame: () => undefined, onLost: () => undefined });
    }
  };
  expect(() => open(50)).toThrow(expect.objectContaining({ code: "busy" }));
  expect(link.ready).toBe(false);
  expect((await link.ping(AbortSignal.timeout(5_000))).alive).toBe(true);
});

test.each([{ stderr: false }, { stderr: true }])(
  "a flood of the log (stderr: $stderr) delays neither the plugin nor its answers, and the dropped bytes are counted",
  async ({ stderr }) => {
    const args = ["--noise-bytes-per-second", "65536", "--noise-burst-bytes", String(MB)];
    const { link, runner } = await started("floods-stdout", { args });
    const flood = callTool(link, { megabytes: 32, stderr });
    expect((await link.ping(AbortSignal.timeout(5_000))).alive).toBe(true);
    expect(texts(await flood)).toEqual(["done"]);
    await expect
      .poll(() => runner.stdout() + runner.stderr(), { timeout: 20_000 })
      .toMatch(/\[berth\] \d+ bytes of output dropped: the log takes 65536 bytes a second\n/);
    expect((runner.stdout() + runner.stderr()).length).toBeLessThan(3 * MB);
  },
);

test.each([
  { ask: { exit_code: 7 }, details: { exitCode: 7, signal: null, oom: false } },
  { ask: { signal: 9 }, details: { exitCode: null, signal: "SIGKILL", oom: false } },
])(
  "a plugin that dies during a stream is reported at once with its cause: $details",
  async ({ ask, details }) => {
    const { link, watched } = await started("dies-mid-stream");
    const first = Promise.withResolvers<number>();
    const dying = callTool(link, ask, { onFrame: () => first.resolve(performance.now()) });
    const at = await first.promise;
    const outcome = await dying;
    expect(performance.now() - at).toBeLessThan(SOON_MS);
    expect(texts(outcome)).toEqual(["part"]);
    expect(outcome.lost).toMatchObject({ code: "plugin_crashed", details });
    await watched.seen("down");
    expect(watched.events).toEqual(["up", "ready", "exit", "down"]);
    expect(() => link.send("{}", new AbortController().signal)).toThrow(
      expect.objectContaining({ code: "link_lost" }),
    );
  },
);

test("the plugin's last messages arrive before its death is reported", async () => {
  const { link } = await started("dies-mid-stream");
  const outcome = await callTool(link, { finish: true, messages: 500 });
  expect(outcome.lost).toBeUndefined();
  expect(texts(outcome)).toHaveLength(500);
});

test("a kill for lack of memory is recognized by the counter of the cgroup", async () => {
  const folder = await makeFolder();
  const counter = join(folder, "memory.events");
  await writeFile(counter, "low 0\noom 3\noom_kill 3\n");
  const { link, seen } = await openLink(makeTransport(), folder);
  await run("dies-mid-stream", folder, ["--oom-file", counter]);
  await seen("ready");
  await writeFile(counter, "low 0\noom 4\noom_kill 4\n");
  expect((await link.ping(AbortSignal.timeout(5_000))).oomKills).toBe(1);
  expect((await callTool(link, { signal: 9 })).lost?.details).toMatchObject({ signal: "SIGKILL", oom: true });
});

test("the cause of a runner that vanishes without a report comes from the container's end", async () => {
  const { link, runner, watched } = await started("echo");
  const group = await pluginPid(runner);
  const pending = callTool(link, { messages: 1, delay_ms: 60_000 });
  runner.process.kill("SIGKILL");
  await runner.exited.catch(() => undefined);
  killGroup(group);
  link.noteExit({ exitCode: 137, signal: undefined, oom: true });
  expect((await pending).lost).toMatchObject({
    code: "plugin_crashed",
    details: { exitCode: 137, oom: true },
  });
  expect(watched.exits).toEqual([{ exitCode: 137, signal: undefined, oom: true }]);
});

test("a lost connection without a known cause ends its sessions with link_lost", async () => {
  const { link, runner, watched } = await started("echo");
  const group = await pluginPid(runner);
  const pending = callTool(link, { messages: 1, delay_ms: 60_000 });
  runner.process.kill("SIGKILL");
  expect((await pending).lost?.code).toBe("link_lost");
  expect(watched.events.at(-1)).toBe("down");
  killGroup(group);
});

test.each([{ late_key: false }, { late_key: true }])(
  "a message over the frame limit fails its own call at once and no other (session id last: $late_key)",
  async ({ late_key }) => {
    const { link } = await started("echo", {
      args: ["--frame-bytes-max", String(MB)],
      frameBytesMax: MB,
    });
    const sibling = callTool(link, { messages: 20, delay_ms: 20 });
    const at = performance.now();
    const { lost } = await callTool(link, { bytes: 3 * MB, late_key });
    expect(performance.now() - at).toBeLessThan(SOON_MS);
    expect(lost).toMatchObject({ code: "frame_too_large", details: { accepted: MB } });
    expect(texts(await sibling)).toHaveLength(20);
  },
);

test("a request over the frame limit is refused with both numbers, before anything is sent", async () => {
  const { link } = await started("echo", { frameBytesMax: 1_000 });
  const line = requestLine("s", { text: "é".repeat(600) });
  const refusal = (() => {
    try {
      link.openSession("s", line, { onFrame: () => undefined, onLost: () => undefined });
      return undefined;
    } catch (error) {
      return error;
    }
  })();
  expect(isFault(refusal, "frame_too_large")).toBe(true);
  expect(refusal).toMatchObject({ details: { value: Buffer.byteLength(line), accepted: 1_000 } });
  expect(link.openSessions).toBe(0);
});

test("large frames share the budget and keep their order among small ones", async () => {
  const transport = { largeFramesBudgetBytes: 6 * MB };
  const { link } = await started("echo", { args: PATIENT, transport });
  const large = Array.from({ length: 4 }, () => callTool(link, { bytes: 5 * MB, messages: 2 }));
  const small = Array.from({ length: 20 }, () => callTool(link, { messages: 5 }));
  for (const outcome of await Promise.all(large)) {
    expect(texts(outcome).map((text) => text.length)).toEqual([5 * MB, 5 * MB]);
    expect(outcome.frames.at(-1)?.type).toBe("end");
  }
  for (const outcome of await Promise.all(small)) expect(texts(outcome)).toHaveLength(5);
});

test("two messages of nearly the frame limit in one answer arrive", async () => {
  const { link } = await started("echo", { args: PATIENT });
  const outcome = await callTool(link, { bytes: 15 * MB, messages: 2 });
  expect(texts(outcome).map((text) => text.length)).toEqual([15 * MB, 15 * MB]);
});

test("prints, log events, stderr and a print without its newline go to the log, and the answer to the caller", async () => {
  const { link, runner } = await started("echo");
  const ask = { text: "answer", print: "a print", log: "a log", stderr: "an error line", raw: "glued" };
  expect(texts(await callTool(link, ask))).toEqual(["answer"]);
  await expect.poll(runner.stdout).toBe("a print\nINFO a log\nglued\n");
  await expect.poll(runner.stderr).toContain("an error line\n");
});

test("a message that is not part of the protocol ends its session with plugin_protocol", async () => {
  const { link, watched } = await started("echo");
  const raw = '{"event":"session","session_id":"odd","data":{"type":"whatever","data":{}}}\n';
  expect((await callTool(link, { raw }, { id: "odd" })).lost?.code).toBe("plugin_protocol");
  expect(watched.notices).toMatchObject([{ kind: "bad_line", sessionId: "odd" }]);
});

test("a plugin's line that imitates the runner's is ignored", async () => {
  const { link, runner } = await started("echo");
  const raw = '{"berth":"frame","event":"session","session_id":"posing","bytes":900000}\n';
  expect(texts(await callTool(link, { raw, text: "fine" }, { id: "posing" }))).toEqual(["fine"]);
  await expect.poll(runner.stdout).toContain(raw);
});

test("SIGTERM is forwarded, and after the grace period the whole group is killed and its exit reported", async () => {
  const { watched, runner } = await started("ignores-sigterm", { args: ["--grace-ms", "300"] });
  const group = await pluginPid(runner);
  expect(await groupMembers(group)).toBe(2);
  runner.process.kill("SIGTERM");
  await watched.seen("exit");
  expect(watched.exits).toEqual([{ exitCode: undefined, signal: "SIGKILL", oom: false }]);
  expect(await runner.exited).toEqual({ code: 137, signal: null });
  await expect.poll(() => groupMembers(group)).toBe(0);
});

test("a plugin that handles SIGTERM ends at once, with its own cause", async () => {
  const { watched, runner } = await started("echo", { args: ["--grace-ms", "60000"] });
  runner.process.kill("SIGTERM");
  expect(await runner.exited).toEqual({ code: 143, signal: null });
  await watched.seen("exit");
  expect(watched.exits).toMatchObject([{ signal: "SIGTERM" }]);
});

test("a crash at import is reported with its code, and its traceback is in the log", async () => {
  const folder = await makeFolder();
  const watched = await openLink(makeTransport(), folder);
  const runner = await run("crash-at-import", folder);
  await watched.seen("exit");
  expect(watched.exits).toEqual([{ exitCode: 1, signal: undefined, oom: false }]);
  expect(await runner.exited).toEqual({ code: 1, signal: null });
  expect(runner.stderr()).toContain("No module named 'a_module_that_nobody_ships'");
  expect(watched.events).not.toContain("ready");
});

test("a plugin is ready at its first heartbeat and not before", async () => {
  const folder = await makeFolder();
  const watched = await openLink(makeTransport(), folder);
  await run("slow-start", folder, [], { SLOW_START_SECONDS: "0.5" });
  await watched.seen("up");
  expect(watched.link.ready).toBe(false);
  expect((await watched.link.ping(AbortSignal.timeout(5_000))).heartbeatAgeMs).toBeUndefined();
  await watched.seen("ready");
  expect(watched.link.ready).toBe(true);
  expect((await watched.link.ping(AbortSignal.timeout(5_000))).residentBytes).toBeGreaterThan(MB);
});

test("a ping of a stopped runner ends at its time limit or by its signal", async () => {
  const { link, runner } = await started("echo", { transport: { pingTimeoutMs: 200 } });
  runner.process.kill("SIGSTOP");
  await expect(link.ping(new AbortController().signal)).rejects.toMatchObject({ code: "link_lost" });
  await expect(link.ping(AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  runner.process.kill("SIGCONT");
});

test("while a link is up no other client can connect, and a connection without a hello is closed", async () => {
  const folder = await makeFolder();
  const watched = await openLink(makeTransport({ helloTimeoutMs: 100 }), folder);
  const path = join(folder, "h-one.sock");
  const intruder = connect(path);
  intruder.write("rubbish\n");
  const silent = connect(path);
  await Promise.all([once(intruder, "close"), once(silent, "close")]);
  await run("echo", folder);
  await watched.seen("ready");
  await expect(access(path)).rejects.toMatchObject({ code: "ENOENT" });
});

test("a socket path that is too long for the kernel is refused with the accepted length", async () => {
  const folder = `/tmp/${"x".repeat(120)}`;
  const opening = openLink(makeTransport(), folder);
  await expect(opening).rejects.toMatchObject({ code: "socket_path_too_long", details: { accepted: 107 } });
});
