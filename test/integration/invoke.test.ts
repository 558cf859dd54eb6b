import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import { anInstallation, LIMITS } from "../harness/builders/an-installation.ts";
import { type AskOptions, request } from "../harness/clients/door-request.ts";
import { parseEvents } from "../harness/clients/parse-events.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { type Door, type DoorOptions, openDoor } from "../harness/rigs/door.ts";
import { ADMIN_KEY, OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";

const PLUGIN = `/v1/tenants/${TENANT}/plugins/berth/echo`;
const BODY = { user_id: "u", provider: "echo", tool_name: "say", tool_parameters: { n: 1 } };

async function aDoor(options: DoorOptions = {}): Promise<Door> {
  const door = await openDoor(options);
  onTestFinished(() => door[Symbol.asyncDispose]());
  return door;
}

async function post(
  door: Door,
  path: string,
  body: unknown = BODY,
  options: AskOptions = {},
): Promise<Response> {
  const { url } = await door.listen();
  return await fetch(request(`${url}${path}`, "POST", { body, ...options }));
}

const invokeTool = (door: Door, body: unknown = BODY, options: AskOptions = {}) =>
  post(door, `${PLUGIN}/invoke_tool`, body, options);

const asDocument = { headers: { accept: "application/json" } };

const errorOf = async (answer: Response) =>
  (await answer.json()) as { error: { code: string; message: string; details: Record<string, unknown> } };

/** A script that keeps its Sessions for the test, and says when there are enough. */
function held() {
  const sessions: FakeSession[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  return {
    sessions,
    script: (session: FakeSession) => {
      sessions.push(session);
      for (const { count, resolve } of waiting) if (sessions.length >= count) resolve();
    },
    async first(count: number): Promise<FakeSession> {
      if (sessions.length < count) await new Promise<void>((resolve) => waiting.push({ count, resolve }));
      const session = sessions[count - 1];
      if (session === undefined) throw new Error("no session");
      return session;
    },
  };
}

test("each item is one event in order, and exactly one end follows", async () => {
  const door = await aDoor({
    script: (session) => {
      for (let n = 0; n < 3; n++) session.item({ n });
      session.end();
    },
  });
  const answer = await invokeTool(door, BODY, { headers: { "x-request-id": "r1" } });
  expect([answer.status, answer.headers.get("content-type"), answer.headers.get("x-request-id")]).toEqual([
    200,
    "text/event-stream; charset=utf-8",
    "r1",
  ]);
  expect(parseEvents(await answer.text())).toMatchObject([
    { event: "item", data: { n: 0 } },
    { event: "item", data: { n: 1 } },
    { event: "item", data: { n: 2 } },
    { event: "end", data: { items: 3 } },
  ]);
});

test("an item reaches the caller while the plugin still works", async () => {
  const { script, first } = held();
  const door = await aDoor({ script });
  const asked = invokeTool(door);
  const session = await first(1);
  session.item({ early: true });
  const reader = (await asked).body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toBe('event: item\ndata: {"early":true}\n\n');
  session.end();
  expect((await reader?.read())?.value).toBe('event: end\ndata: {"items":1}\n\n');
});

test("with Accept: application/json the answer is one document", async () => {
  const door = await aDoor();
  const answer = await invokeTool(door, BODY, asDocument);
  expect(await answer.json()).toMatchObject({ items: [{ type: "text", message: { text: '{"n":1}' } }] });
});

test("the plugin gets the caller's JSON untouched, all envelope keys, and what the SDK wants present", async () => {
  const { script, first } = held();
  const door = await aDoor({ script });
  const { url } = await door.listen();
  const text = `{\n "user_id": "u", "provider": "berth/echo/echo", "model": "m",\n "prompt_messages": [], "app_id": "a"}`;
  const asked = fetch(request(`${url}${PLUGIN}/invoke_llm`, "POST", { body: text }));
  const { line, end } = await first(1);
  expect(Object.keys(line)).toEqual([
    "session_id",
    "conversation_id",
    "message_id",
    "app_id",
    "endpoint_id",
    "context",
    "event",
    "data",
  ]);
  expect(line).toMatchObject({
    app_id: "a",
    conversation_id: null,
    event: "request",
    data: {
      type: "model",
      action: "invoke_llm",
      provider: "echo",
      model_type: "llm",
      model_parameters: {},
      credentials: {},
      stop: null,
      tools: null,
      stream: true,
    },
  });
  end();
  await (await asked).text();
});

test("the long route and the short form reach the same tool; tool and tool_name must agree", async () => {
  const door = await aDoor();
  const long = await post(door, `${PLUGIN}/invoke/tool/invoke_tool`, {
    ...BODY,
    tool_name: undefined,
    tool: "say",
  });
  expect(long.status).toBe(200);
  expect((await invokeTool(door, { ...BODY, tool: "say" })).status).toBe(200);
  const differing = await invokeTool(door, { ...BODY, tool: "sing" });
  expect(differing.status).toBe(400);
  expect((await errorOf(differing)).error).toMatchObject({
    message: "tool_name and tool name the same thing but differ.",
    details: { value: { tool_name: "say", tool: "sing" } },
  });
});

test.each([
  [
    "an unknown plugin",
    `/v1/tenants/${TENANT}/plugins/berth/none/invoke_tool`,
    BODY,
    404,
    "installation_not_found",
    ["berth/echo"],
  ],
  [
    "an unknown provider",
    `${PLUGIN}/invoke_tool`,
    { ...BODY, provider: "no" },
    404,
    "provider_not_found",
    ["echo", "berth/echo/echo"],
  ],
  [
    "an unknown tool",
    `${PLUGIN}/invoke_tool`,
    { ...BODY, tool_name: "no" },
    404,
    "tool_not_found",
    ["say", "sing"],
  ],
  [
    "an unknown type",
    `${PLUGIN}/invoke/nothing/x`,
    BODY,
    404,
    "operation_not_found",
    expect.arrayContaining(["tool"]),
  ],
  [
    "an unknown action",
    `${PLUGIN}/invoke/tool/x`,
    BODY,
    404,
    "operation_not_found",
    expect.arrayContaining(["invoke_tool"]),
  ],
  [
    "a kind not offered",
    `${PLUGIN}/invoke/endpoint/invoke_endpoint`,
    { raw_http_request: "" },
    404,
    "operation_not_found",
    ["tool", "model"],
  ],
  [
    "a field of the wrong type",
    `${PLUGIN}/invoke_tool`,
    { ...BODY, tool_parameters: null },
    400,
    "invalid_input",
    "a value of type object",
  ],
  [
    "a missing field",
    `${PLUGIN}/invoke_tool`,
    { provider: "echo", tool: "say" },
    400,
    "invalid_input",
    "a value of type string",
  ],
  [
    "a tenant that is no UUID",
    "/v1/tenants/x/plugins/berth/echo/invoke_tool",
    BODY,
    400,
    "invalid_input",
    "a UUID",
  ],
  ["a list as body", `${PLUGIN}/invoke_tool`, "[]", 400, "invalid_input", "a JSON object"],
])("%s is refused with what is accepted", async (_name, path, body, status, code, accepted) => {
  const door = await aDoor();
  const answer = await post(door, path, body);
  expect(answer.status).toBe(status);
  expect((await errorOf(answer)).error).toMatchObject({ code, details: { accepted } });
});

test("malformed JSON, wrong content type, a body over the limit, no key and another tenant's key have codes of their own", async () => {
  const door = await aDoor();
  const codes = [];
  const foreign = await door.keyring.create({ name: "x", tenantId: OTHER_TENANT });
  for (const [body, options] of [
    ["{", {}],
    ["{}", { headers: { "content-type": "text/plain" } }],
    [{ ...BODY, tool_parameters: { x: "x".repeat(1024 * 1024) } }, {}],
    [BODY, { key: "" }],
    [BODY, { key: foreign.key }],
  ] as const) {
    const answer = await invokeTool(door, body, options);
    codes.push([answer.status, (await errorOf(answer)).error.code]);
  }
  expect(codes).toEqual([
    [400, "invalid_json"],
    [415, "unsupported_media_type"],
    [413, "payload_too_large"],
    [401, "unauthorized"],
    [403, "forbidden"],
  ]);
});

test("a warm call asks the store nothing", async () => {
  const door = await aDoor();
  await (await invokeTool(door)).text();
  door.memory.calls.length = 0;
  for (let n = 0; n < 5; n++) expect((await invokeTool(door)).status).toBe(200);
  expect(door.memory.calls).toEqual([]);
});

test("a plugin that was installed a moment ago is found without waiting for the poll", async () => {
  const door = await aDoor();
  const [old] = door.memory.installations.splice(0);
  door.memory.installations.push(anInstallation({ tenantId: OTHER_TENANT }));
  expect(old?.tenantId).toBe(TENANT);
  const path = `/v1/tenants/${OTHER_TENANT}/plugins/berth/echo/invoke_tool`;
  expect((await post(door, path)).status).toBe(200);
});

test("a plugin's own error is data: class, message and args", async () => {
  const door = await aDoor({
    script: (session) => {
      session.item({ n: 1 });
      session.error({ error_type: "ValueError", message: "no such city", args: { traceback: "..." } });
      session.end();
    },
  });
  const events = parseEvents(await (await invokeTool(door)).text());
  expect(events.map(({ event }) => event)).toEqual(["item", "error"]);
  expect(events[1]?.data).toMatchObject({
    error: {
      code: "plugin_error",
      details: { error_type: "ValueError", message: "no such city", args: { traceback: "..." } },
    },
  });
  expect((await invokeTool(door, BODY, asDocument)).status).toBe(502);
});

test("a plugin that dies in mid-call is plugin_crashed with exit and OOM flag at once", async () => {
  const { script, first } = held();
  const door = await aDoor({ script });
  const asked = invokeTool(door);
  const session = await first(1);
  session.item({ n: 1 });
  const diedAt = performance.now();
  session.lost(new Fault("plugin_crashed", "The plugin died.", { details: { exit: 137, oom: true } }));
  const events = parseEvents(await (await asked).text());
  expect(performance.now() - diedAt).toBeLessThan(SOON_MS);
  expect(events.at(-1)).toMatchObject({
    event: "error",
    data: { error: { code: "plugin_crashed", details: { exit: 137, oom: true } } },
  });
  expect(door.invoker.openSessions).toBe(0);
});

test("beyond places and queue a call is busy at once, with both numbers; a freed place goes to the next", async () => {
  const { script, first } = held();
  const door = await aDoor({ script, limits: { concurrencyMax: 1 }, settings: { queueMax: 1 } });
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
  const { script, first } = held();
  const door = await aDoor({ script, limits: { concurrencyMax: 1 } });
  const running = invokeTool(door);
  const one = await first(1);
  const late = await invokeTool(door, { ...BODY, timeout_ms: 50 });
  expect((await errorOf(late)).error).toMatchObject({
    code: "busy",
    details: { inFlightMax: 1, queueMax: 100 },
  });
  one.end();
  await running;
});

test("a caller's time-out ends the caller's stream only; the session keeps its place until the plugin ends", async () => {
  const { script, first } = held();
  const door = await aDoor({ script, limits: { concurrencyMax: 1 } });
  const asked = invokeTool(door, BODY, { headers: { "x-timeout-ms": "50" } });
  const one = await first(1);
  expect(parseEvents(await (await asked).text())).toMatchObject([
    { event: "error", data: { error: { code: "plugin_timeout", details: { clock: "total", limitMs: 50 } } } },
  ]);
  expect(door.invoker.openSessions).toBe(1);
  const waiting = invokeTool(door, { ...BODY, timeout_ms: 50 });
  expect((await waiting).status).toBe(429);
  one.end();
  expect(door.invoker.openSessions).toBe(0);
  expect(door.runtime.retired).toEqual([]);
});

test("a caller cannot lengthen the granted deadline; past it and the grace the Runtime is retired", async () => {
  const { script } = held();
  const door = await aDoor({ script, limits: { timeoutMs: 50 }, settings: { overrunGraceMs: 50 } });
  const events = parseEvents(await (await invokeTool(door, { ...BODY, timeout_ms: 999_999 })).text());
  expect(events).toMatchObject([
    { event: "error", data: { error: { code: "plugin_timeout", details: { clock: "total", limitMs: 50 } } } },
  ]);
  expect(door.runtime.retired).toEqual([]);
  await until(() => door.runtime.retired.length > 0);
  expect(door.runtime.retired).toEqual([door.runtime.id]);
  expect(door.invoker.openSessions).toBe(0);
});

test("a plugin that says nothing runs into the idle clock, one that speaks does not", async () => {
  const door = await aDoor({
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

test("no ready Runtime is plugin_not_ready with its state, at once or after the start clock", async () => {
  const door = await aDoor({ settings: { startTimeoutMs: 50 } });
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

test("a call waits for a Runtime that is starting", async () => {
  const door = await aDoor();
  door.runtime.isReady = false;
  const asked = invokeTool(door);
  await until(() => door.runtime.waits.length === 1);
  door.runtime.waits[0]?.resolve();
  expect((await asked).status).toBe(200);
});

test("each state of an installation has its own answer", async () => {
  const door = await aDoor();
  const answers = [];
  for (const changes of [
    { state: "installing", poolKey: undefined },
    { state: "failed", cause: { code: "build_failed", message: "no" } },
    { state: "disabled", desired: "disabled" },
    { state: "removing", desired: "removed" },
  ] as const) {
    door.memory.installations[0] = anInstallation(changes);
    await door.invoker.refresh();
    const answer = await invokeTool(door);
    const { error } = await errorOf(answer);
    answers.push([answer.status, error.code, error.details?.["state"]]);
  }
  expect(answers).toEqual([
    [503, "plugin_not_ready", "installing"],
    [503, "plugin_not_ready", "failed"],
    [409, "plugin_disabled", undefined],
    [503, "plugin_not_ready", "removing"],
  ]);
});

test("a caller that disconnects is let go, and its session keeps its place", async () => {
  const { script, first } = held();
  const door = await aDoor({ script, limits: { concurrencyMax: 1 } });
  const { url } = await door.listen();
  const gone = new AbortController();
  const asked = fetch(request(`${url}${PLUGIN}/invoke_tool`, "POST", { body: BODY }), {
    signal: gone.signal,
  });
  const one = await first(1);
  one.item({ n: 1 });
  await asked;
  gone.abort();
  expect((await invokeTool(door, { ...BODY, timeout_ms: 50 })).status).toBe(429);
  one.end();
  expect(door.invoker.openSessions).toBe(0);
  const event = door.logged.find(({ op, code }) => op === "invocation.invoke" && code === "cancelled");
  expect(event).toMatchObject({ ok: false, items: 1 });
});

test("a client that stops reading loses its own call and delays no other", async () => {
  const { script, first } = held();
  const door = await aDoor({ script, settings: { callerBufferBytesMax: 256 * 1024, flushTimeoutMs: 100 } });
  const { url } = await door.listen();
  const deaf = connect(Number(new URL(url).port), "127.0.0.1");
  deaf.on("error", () => undefined);
  onTestFinished(() => void deaf.destroy());
  const body = JSON.stringify(BODY);
  deaf.pause();
  deaf.write(
    `POST ${PLUGIN}/invoke_tool HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n` +
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

test("an answer that one document cannot hold is an error of its own", async () => {
  const door = await aDoor({ settings: { documentBytesMax: 10 } });
  const answer = await invokeTool(door, BODY, asDocument);
  expect([answer.status, (await errorOf(answer)).error.code]).toEqual([502, "answer_too_large"]);
});

test("each call is one wide event with ids and times, and no request line beside it", async () => {
  const door = await aDoor();
  await (await invokeTool(door, BODY, { headers: { "x-request-id": "r7" } })).text();
  expect(door.logged).toMatchObject([
    {
      op: "invocation.invoke",
      ok: true,
      request_id: "r7",
      tenant_id: TENANT,
      type: "tool",
      action: "invoke_tool",
      items: 1,
      runtime_id: door.runtime.id,
      queue_ms: expect.any(Number),
      first_event_ms: expect.any(Number),
      duration_ms: expect.any(Number),
    },
  ]);
});

test("closing the invoker refuses new calls, and ends open ones after the drain with shutting_down", async () => {
  const { script, first } = held();
  const door = await aDoor({ script, settings: { drainMs: 50 } });
  const asked = invokeTool(door);
  await first(1);
  const closing = door.invoker[Symbol.asyncDispose]();
  expect((await errorOf(await invokeTool(door))).error.code).toBe("shutting_down");
  await closing;
  expect(parseEvents(await (await asked).text())).toMatchObject([
    { event: "error", data: { error: { code: "shutting_down" } } },
  ]);
});

const storageCall = (id: string, request: object) => ({ type: "storage", backwards_request_id: id, request });

/** Answers to backwards calls, as the plugin reads them. */
const answersOf = (session: FakeSession) =>
  session.sent.map(
    (line) => (JSON.parse(line) as { data: { event: string; message: string; data: unknown } }).data,
  );

test("a plugin's storage keeps values per tenant, within the quota of its manifest", async () => {
  const { script, first } = held();
  const door = await aDoor({ script });
  const asked = invokeTool(door);
  const session = await first(1);
  const call = async (request: object) => {
    const before = session.sent.length;
    session.invoke(storageCall("a".repeat(32), request));
    await until(() =>
      answersOf(session)
        .slice(before)
        .some(({ event }) => event === "end"),
    );
    return answersOf(session)[before];
  };
  expect(await call({ opt: "set", key: "k/1", value: "0aff" })).toMatchObject({
    event: "response",
    data: { data: "ok" },
  });
  expect(await call({ opt: "get", key: "k/1" })).toMatchObject({ data: { data: "0aff" } });
  expect(await call({ opt: "exist", key: "k/2" })).toMatchObject({ data: { data: false } });
  expect(await call({ opt: "set", key: "k/1", value: "00".repeat(1025) })).toMatchObject({ event: "error" });
  expect(await call({ opt: "get", key: "k/1" })).toMatchObject({ data: { data: "0aff" } });
  expect(await call({ opt: "get", key: "../x" })).toMatchObject({ event: "error" });
  expect(await call({ opt: "del", key: "k/1" })).toMatchObject({ data: { data: "ok", deleted_num: 1 } });
  expect(await call({ opt: "get", key: "k/1" })).toMatchObject({ event: "error" });
  session.end();
  await (await asked).text();
});

test("a plugin calls another tool of its tenant; what nobody can serve, or the manifest does not allow, is said", async () => {
  const { script, first } = held();
  const door = await aDoor({ script });
  const asked = invokeTool(door);
  const outer = await first(1);
  outer.invoke({
    type: "tool",
    backwards_request_id: "t",
    request: { tool_type: "builtin", provider: "berth/echo/echo", tool: "sing", tool_parameters: { a: 1 } },
  });
  const inner = await first(2);
  expect(inner.data).toMatchObject({
    user_id: "u",
    provider: "echo",
    tool: "sing",
    tool_parameters: { a: 1 },
  });
  inner.item({ note: 1 });
  inner.end();
  await until(() => outer.sent.length === 2);
  expect(answersOf(outer)).toMatchObject([
    { event: "response", message: "stream", data: { note: 1 } },
    { event: "end", data: null },
  ]);
  outer.invoke({ type: "app", backwards_request_id: "x", request: {} });
  outer.invoke({ type: "upload_file", backwards_request_id: "y", request: {} });
  await until(() => outer.sent.length === 6);
  const errors = answersOf(outer).filter(({ event }) => event === "error");
  expect(errors.map(({ message }) => message)).toEqual([
    "app: app needs resource.permission.app.enabled in the plugin's manifest.",
    "upload_file: upload_file is not available: no platform is configured that could serve it.",
  ]);
  outer.end();
  await (await asked).text();
});

test("a model may not call back", async () => {
  const { script, first } = held();
  const door = await aDoor({ script });
  const asked = post(door, `${PLUGIN}/invoke_llm`, {
    user_id: "u",
    provider: "echo",
    model: "m",
    prompt_messages: [],
  });
  const session = await first(1);
  session.invoke(storageCall("z", { opt: "get", key: "k" }));
  await until(() => session.sent.length === 2);
  expect(answersOf(session)[0]).toMatchObject({
    event: "error",
    message: "storage: A model may not call back to the host.",
  });
  session.end();
  await (await asked).text();
});

test("a large number keeps every digit on its way to the plugin", async () => {
  const { script, first } = held();
  const door = await aDoor({ script });
  const lines: string[] = [];
  const open = door.runtime.link.openSession.bind(door.runtime.link);
  door.runtime.link.openSession = (id, line, listener) => {
    lines.push(line);
    open(id, line, listener);
  };
  const text = '{"user_id":"u","provider":"echo","tool":"say","tool_parameters":{"n":12345678901234567890}}';
  const asked = invokeTool(door, text);
  (await first(1)).end();
  await (await asked).text();
  expect(lines[0]).toContain('"n":12345678901234567890');
  expect(LIMITS.timeoutMs).toBeGreaterThan(0);
});

/** Waits for a condition that an event of the door brings about. */
async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error("the condition did not come about in 5 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
