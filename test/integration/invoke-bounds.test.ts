/** The bounds of a call: its place in the queue, its deadline, and what a slow or leaving caller costs. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import { request } from "../harness/clients/door-request.ts";
import { AS_DOCUMENT, errorOf, invokeTool, PLUGIN_PATH, TOOL_CALL } from "../harness/clients/invocations.ts";
import { parseEvents } from "../harness/clients/parse-events.ts";
import { until } from "../harness/clients/until.ts";
import { heldSessions } from "../harness/doubles/held-sessions.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";
import { ADMIN_KEY } from "../harness/samples/callers.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";

test("a call over concurrency and queue is refused as busy with both numbers, and a freed place goes to the next call", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script, limits: { concurrencyMax: 1 }, settings: { queueMax: 1 } });
  const running = invokeTool(door);
  const one = await first(1);
  const queued = invokeTool(door);
  await until(() => door.invoker.openSessions === 2);
  const refused = await invokeTool(door);
  expect(refused.status).toBe(429);
  expect((await errorOf(refused)).error).toMatchObject({
    code: "busy",
    details: { inFlight: 1, inFlightMax: 1, queued: 1, queueMax: 1 },
  });
  one.end();
  (await first(2)).end();
  expect([(await running).status, (await queued).status]).toEqual([200, 200]);
});

test("the deadline bounds the wait in the queue", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script, limits: { concurrencyMax: 1 } });
  const running = invokeTool(door);
  const one = await first(1);
  const late = await invokeTool(door, { ...TOOL_CALL, timeout_ms: 50 });
  expect((await errorOf(late)).error).toMatchObject({
    code: "busy",
    details: { inFlightMax: 1, queueMax: 100 },
  });
  one.end();
  await running;
});

test("a caller's timeout ends only the caller's stream, and the session keeps its place until the plugin ends", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script, limits: { concurrencyMax: 1 } });
  const asked = invokeTool(door, TOOL_CALL, { headers: { "x-timeout-ms": "50" } });
  const one = await first(1);
  expect(parseEvents(await (await asked).text())).toMatchObject([
    { event: "error", data: { error: { code: "plugin_timeout", details: { clock: "total", limitMs: 50 } } } },
  ]);
  expect(door.invoker.openSessions).toBe(1);
  const waiting = invokeTool(door, { ...TOOL_CALL, timeout_ms: 50 });
  expect((await waiting).status).toBe(429);
  one.end();
  expect(door.invoker.openSessions).toBe(0);
  expect(door.runtime.retired).toEqual([]);
});

test("a caller cannot extend the granted deadline, and a session past deadline and grace retires its runtime", async () => {
  const { script } = heldSessions();
  const door = await openTestDoor({ script, limits: { timeoutMs: 50 }, settings: { overrunGraceMs: 50 } });
  const events = parseEvents(await (await invokeTool(door, { ...TOOL_CALL, timeout_ms: 999_999 })).text());
  expect(events).toMatchObject([
    { event: "error", data: { error: { code: "plugin_timeout", details: { clock: "total", limitMs: 50 } } } },
  ]);
  expect(door.runtime.retired).toEqual([]);
  await until(() => door.runtime.retired.length > 0);
  expect(door.runtime.retired).toEqual([door.runtime.id]);
  expect(door.invoker.openSessions).toBe(0);
});

test("a silent plugin hits the idle timeout, and a plugin that sends does not", async () => {
  const door = await openTestDoor({
    settings: { idleTimeoutMs: 100 },
    script: (session) => {
      let n = 0;
      const timer = setInterval(() => {
        session.item({ n: n++ });
        if (n === 5) clearInterval(timer);
      }, 40);
    },
  });
  const events = parseEvents(await (await invokeTool(door)).text());
  expect(events.filter(({ event }) => event === "item")).toHaveLength(5);
  expect(events.at(-1)).toMatchObject({ data: { error: { details: { clock: "idle", limitMs: 100 } } } });
});

test("a call without a ready runtime fails as plugin_not_ready with the state, at once or after the start timeout", async () => {
  const door = await openTestDoor({ settings: { startTimeoutMs: 50 } });
  door.runtime.isReady = false;
  const slow = await invokeTool(door);
  expect(slow.status).toBe(503);
  expect((await errorOf(slow)).error).toMatchObject({
    code: "plugin_not_ready",
    details: { clock: "start", limitMs: 50, state: "starting" },
  });
  door.runtime.refusal = new Fault("plugin_not_ready", "given up", { details: { state: "crash_loop" } });
  expect((await errorOf(await invokeTool(door))).error.details).toMatchObject({ state: "crash_loop" });
});

test("a call waits for a runtime that is starting", async () => {
  const door = await openTestDoor();
  door.runtime.isReady = false;
  const asked = invokeTool(door);
  await until(() => door.runtime.waits.length === 1);
  door.runtime.waits[0]?.resolve();
  expect((await asked).status).toBe(200);
});

test("a caller that disconnects is released, and its session keeps its place", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script, limits: { concurrencyMax: 1 } });
  const { url } = await door.listen();
  const gone = new AbortController();
  const asked = fetch(request(`${url}${PLUGIN_PATH}/invoke_tool`, "POST", { body: TOOL_CALL }), {
    signal: gone.signal,
  });
  const one = await first(1);
  one.item({ n: 1 });
  await asked;
  gone.abort();
  expect((await invokeTool(door, { ...TOOL_CALL, timeout_ms: 50 })).status).toBe(429);
  one.end();
  expect(door.invoker.openSessions).toBe(0);
  const event = door.logged.find(({ op, code }) => op === "invocation.invoke" && code === "cancelled");
  expect(event).toMatchObject({ ok: false, items: 1 });
});

test("a client that stops reading loses its own call and delays no other", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({
    script,
    settings: { callerBufferBytesMax: 256 * 1024, flushTimeoutMs: 100 },
  });
  const { url } = await door.listen();
  const deaf = connect(Number(new URL(url).port), "127.0.0.1");
  deaf.on("error", () => undefined);
  onTestFinished(() => void deaf.destroy());
  const body = JSON.stringify(TOOL_CALL);
  deaf.pause();
  deaf.write(
    `POST ${PLUGIN_PATH}/invoke_tool HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const flood = await first(1);
  const piece = "x".repeat(64 * 1024);
  const isSlow = () => door.logged.some(({ code }) => code === "slow_caller");
  for (let n = 0; n < 300; n++) {
    flood.item({ piece }, piece.length);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const startedAt = performance.now();
  const sibling = invokeTool(door);
  (await first(2)).end();
  expect((await sibling).status).toBe(200);
  expect(performance.now() - startedAt).toBeLessThan(SOON_MS);
  flood.end();
  await until(isSlow);
  deaf.resume();
  await once(deaf, "close");
});

test("an answer that is too large for one document has its own error code", async () => {
  const door = await openTestDoor({ settings: { documentBytesMax: 10 } });
  const answer = await invokeTool(door, TOOL_CALL, AS_DOCUMENT);
  expect([answer.status, (await errorOf(answer)).error.code]).toEqual([502, "answer_too_large"]);
});

test("a closing invoker refuses new calls and ends open calls with shutting_down after the drain", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script, settings: { drainMs: 50 } });
  const asked = invokeTool(door);
  await first(1);
  const closing = door.invoker[Symbol.asyncDispose]();
  expect((await errorOf(await invokeTool(door))).error.code).toBe("shutting_down");
  await closing;
  expect(parseEvents(await (await asked).text())).toMatchObject([
    { event: "error", data: { error: { code: "shutting_down" } } },
  ]);
});
