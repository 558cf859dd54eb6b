/** The real runner and whatever a plugin prints: it stays alive, keeps to its memory, and loses nobody else's lines. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { startEcho } from "../harness/rigs/echo-runner.ts";
import { rawLines } from "../harness/samples/raw-lines.ts";

const MB = 1024 * 1024;
const SIBLING_MESSAGES = 60;

async function peakBytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

test("a session whose message is too large sends nothing more to the host", async () => {
  const { host, ask, linesOf, ended } = await startEcho(["--frame-bytes-max", String(MB)]);
  ask("large", { bytes: 2 * MB });
  const refused = () => host.controlLines().some((line) => line.includes('"op":"frame_too_large"'));
  await expect.poll(refused, { timeout: 60_000, interval: 20 }).toBe(true);
  for (const id of ["after", "later"]) {
    ask(id, { text: "still here" });
    await ended(id);
  }
  expect(linesOf("large")).toEqual([]);
});

test.each([1, 2])(
  "generated lines of seed %i neither end the runner nor lose a sibling's line, and memory stays bounded",
  async (seed) => {
    const { runner, ask, linesOf, ended, pong } = await startEcho([
      ...["--frame-bytes-max", String(4 * MB)],
      ...["--noise-bytes-per-second", "65536", "--noise-burst-bytes", "65536"],
    ]);
    ask("sibling", { messages: SIBLING_MESSAGES, delay_ms: 10 });
    for (const [index, line] of rawLines(seed).entries()) {
      const id = `attack-${index}`;
      ask(id, { raw_base64: line(id).toString("base64") });
    }
    await ended("sibling");
    expect(linesOf("sibling")).toHaveLength(SIBLING_MESSAGES + 1);
    ask("after", { text: "still here" });
    await ended("after");
    expect(await pong()).toMatchObject({ alive: true });
    expect(await peakBytes(runner.process.pid)).toBeLessThan(96 * MB);
  },
);

test.each([
  [
    "half a surrogate pair as its type",
    '{"event":"session","session_id":"odd","data":{"type":"\\ud800","data":1}}',
  ],
  ["no data", '{"event":"session","session_id":"odd","data":null}'],
  ["a thousand beginnings", `${'{"event":"session",'.repeat(1000)}"session_id":"odd"`],
  ["a depth of 8,000", `{"event":"session","session_id":"odd","data":${"[".repeat(8000)}`],
])("a session's line with %s is passed on unchanged to the host", async (_what, line) => {
  const { ask, linesOf, ended } = await startEcho();
  ask("odd", { raw: `${line}\n` });
  await ended("odd");
  expect(linesOf("odd").map((got) => (got === line ? "as printed" : got.slice(0, 200)))).toContain(
    "as printed",
  );
});

test("a frame with its keys in another order arrives at any size", async () => {
  const { ask, linesOf, ended } = await startEcho();
  for (const bytes of [10, 300_000, 5 * MB]) ask(`late-${bytes}`, { bytes, late_key: true });
  for (const bytes of [10, 300_000, 5 * MB]) {
    await ended(`late-${bytes}`);
    const frame = linesOf(`late-${bytes}`).find((line) => line.startsWith('{"data"'));
    expect(frame?.length).toBeGreaterThan(bytes);
  }
});

test("neither a deeply nested message of the host nor a bad control line ends the runner", async () => {
  const { host, ask, ended, pong } = await startEcho();
  ask("deep", { raw: "" });
  const nested = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
  host.data.write(`{"session_id":"x","note":"backwards_response","event":"request","data":${nested}}\n`);
  host.control.write(
    `${nested}\n{"op":"ping","id":${nested}}\n"\n{"op":"ping","id":${"9".repeat(5000)}}\n\xff\n`,
  );
  ask("after", {});
  await ended("after");
  expect(await pong()).toMatchObject({ alive: true });
});

test("an answer to a plugin does not reopen its session", async () => {
  const { host, ask, ended, pong } = await startEcho();
  const about = '"conversation_id":null,"message_id":null,"app_id":null,"endpoint_id":null,"context":null';
  host.data.write(`{"session_id":"over",${about},"event":"backwards_response","data":{}}\n`);
  ask("after", {});
  await ended("after");
  expect(await pong()).toMatchObject({ open_sessions: 0 });
});

test("a request for a session that is not open reaches no host, and one of them learns of it", async () => {
  const { host, ask, linesOf, ended } = await startEcho();
  const call = { type: "invoke", data: { type: "storage", backwards_request_id: "1", request: {} } };
  ask("old", { text: "done" });
  await ended("old");
  const lines = [
    JSON.stringify({ event: "session", session_id: "old", data: call }),
    JSON.stringify({ event: "session", session_id: "guessed", data: call }),
    JSON.stringify({ data: call, session_id: "guessed", event: "session" }),
    JSON.stringify({ event: "session", session_id: "guessed", data: { type: "stream", data: 1 } }),
  ];
  ask("replaying", { raw: `${lines.join("\n")}\n` });
  await ended("replaying");
  const notices = () => host.controlLines().filter((line) => line.includes("foreign_call"));
  await expect.poll(notices).toEqual(['{"op":"notice","kind":"foreign_call","count":1}']);
  expect([...linesOf("old"), ...linesOf("guessed")].filter((line) => line.includes("invoke"))).toEqual([]);
});

test.each([35, 40, 9])("a plugin that ends by signal %i is reported with that signal", async (signal) => {
  const { host, ask } = await startEcho();
  ask("dying", { kill_self: signal });
  await expect.poll(() => host.controlLines().at(-1), { timeout: 20_000 }).toContain('"op":"exit"');
  expect(host.controlLines().at(-1)).toContain(
    signal === 9 ? '"signal":"SIGKILL"' : `"signal":"SIG${signal}"`,
  );
});

test("a plugin that leaves its process group still ends with the container", async () => {
  const { host, runner, ask, ended } = await startEcho(["--grace-ms", "100"]);
  ask("leaving", { leave_group: true });
  await ended("leaving");
  runner.process.kill("SIGTERM");
  expect(await runner.exited).toMatchObject({ code: 143 });
  expect(host.controlLines().at(-1)).toContain('"signal":"SIGTERM"');
});
