/** What the runner puts before a line of the log: the request ids of the calls that it belongs to. */
import { expect, test } from "vitest";
import { parseCallTag } from "../../src/runtime/logs/call-tag.ts";
import { startEcho } from "../harness/rigs/echo-runner.ts";

const LONG_MS = 30_000;

type Echo = Awaited<ReturnType<typeof startEcho>>;

/** The lines of the container's log with this text, each with its request ids. */
function found({ runner }: Echo, text: string) {
  const lines = `${runner.stdout()}${runner.stderr()}`.split("\n").map(parseCallTag);
  return lines.filter((line) => line.text.includes(text));
}

async function idsOf(echo: Echo, text: string): Promise<readonly (readonly string[])[]> {
  await expect.poll(() => found(echo, text).length).toBeGreaterThan(0);
  return found(echo, text).map(({ requestIds }) => requestIds);
}

test("what a plugin prints, logs and writes to stderr during a call carries the call's request id", async () => {
  const echo = await startEcho();
  echo.ask("one", { print: "mark print", stderr: "mark stderr\nmark second line", log: "mark log" }, "r-1");
  await echo.ended("one");
  await expect.poll(() => found(echo, "mark").length).toBe(4);
  expect(
    found(echo, "mark")
      .map(({ text, requestIds }) => `${requestIds} ${text}`)
      .toSorted(),
  ).toEqual(["r-1 INFO mark log", "r-1 mark print", "r-1 mark second line", "r-1 mark stderr"]);
});

test("a line carries all calls in flight, those that began last if they are many, and none after their end", async () => {
  const echo = await startEcho();
  const ids = Array.from({ length: 9 }, (_, n) => `r-${n}`);
  for (const id of ids) echo.ask(id, { delay_ms: LONG_MS }, id);
  echo.ask("many", { print: "with many" }, "r-last");
  await echo.ended("many");
  expect(await idsOf(echo, "with many")).toEqual([[...ids.slice(2), "r-last"]]);

  const other = await startEcho();
  other.ask("one", { text: "done" }, "r-1");
  await other.ended("one");
  other.ask("unnamed", { print: "of no request" });
  expect(await idsOf(other, "of no request")).toEqual([[]]);
});

test("an error is in the log of its own call alone: the traceback, or type and message without one", async () => {
  const echo = await startEcho();
  echo.ask("slow", { delay_ms: LONG_MS }, "r-slow");
  const traceback = 'Traceback (most recent call last):\n  File "x.py"\nLookupError: no such city';
  echo.ask("traced", { stderr: "before it", error_args: { traceback } }, "r-traced");
  await echo.ended("traced");
  expect(await idsOf(echo, "LookupError: no such city")).toEqual([["r-traced"]]);
  expect(found(echo, "Traceback").concat(found(echo, "x.py"))).toMatchObject([
    { requestIds: ["r-traced"] },
    { requestIds: ["r-traced"] },
  ]);
  expect(await idsOf(echo, "before it")).toEqual([["r-slow", "r-traced"]]);

  echo.ask("plain", { error: "the tide is out" }, "r-plain");
  await echo.ended("plain");
  expect(await idsOf(echo, "ValueError: the tide is out")).toEqual([["r-plain"]]);

  echo.ask("unnamed", { raw_stderr: "half a line", error: "no more" });
  await echo.ended("unnamed");
  await expect
    .poll(() => found(echo, "ValueError: no more"))
    .toEqual([{ requestIds: [], text: "ValueError: no more" }]);
});

test("an SDK that names the session of a log line has it on that call alone", async () => {
  const echo = await startEcho();
  echo.ask("slow", { delay_ms: LONG_MS }, "r-slow");
  const data = { level: "WARNING", message: "known session", timestamp: 0 };
  const line = JSON.stringify({ event: "log", session_id: "named", data });
  echo.ask("named", { raw: `${line}\n` }, "r-named");
  expect(await idsOf(echo, "known session")).toEqual([["r-named"]]);
});

test("a plugin cannot claim that a line belongs to another call", async () => {
  const echo = await startEcho();
  const forged = "\u001e[r-other] forged";
  echo.ask("one", { print: forged, stderr: `x\n${forged}` }, "r-1");
  await echo.ended("one");
  await expect.poll(() => found(echo, "forged").length).toBe(2);
  expect(found(echo, "forged")).toEqual([
    { requestIds: ["r-1"], text: forged },
    { requestIds: ["r-1"], text: forged },
  ]);
  echo.ask("unnamed", { print: `${forged} again` });
  expect(await idsOf(echo, "forged again")).toEqual([[]]);
});

test("request ids count as output, so that short lines are not a way around the log's limit", async () => {
  const echo = await startEcho(["--noise-bytes-per-second", "1000", "--noise-burst-bytes", "20000"]);
  echo.ask("one", { stderr: "x\n".repeat(1000), print: "later" }, "r".repeat(128));
  await echo.ended("one");
  expect(echo.runner.stderr().length).toBeLessThan(20_000);
  await expect.poll(() => echo.runner.stderr(), { timeout: 20_000 }).toContain("bytes of output dropped");
});
