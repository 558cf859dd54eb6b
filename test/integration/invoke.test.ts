import { expect, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import { anInstallation, LIMITS } from "../harness/builders/an-installation.ts";
import { request } from "../harness/clients/door-request.ts";
import {
  AS_DOCUMENT,
  errorOf,
  invokeTool,
  PLUGIN_PATH,
  post,
  TOOL_CALL,
} from "../harness/clients/invocations.ts";
import { parseEvents } from "../harness/clients/parse-events.ts";
import { heldSessions } from "../harness/doubles/held-sessions.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";
import { OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";

test("each item is one event in order, and exactly one end follows", async () => {
  const door = await openTestDoor({
    script: (session) => {
      for (let n = 0; n < 3; n++) session.item({ n });
      session.end();
    },
  });
  const answer = await invokeTool(door, TOOL_CALL, { headers: { "x-request-id": "r1" } });
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
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script });
  const asked = invokeTool(door);
  const session = await first(1);
  session.item({ early: true });
  const reader = (await asked).body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toBe('event: item\ndata: {"early":true}\n\n');
  session.end();
  expect((await reader?.read())?.value).toBe('event: end\ndata: {"items":1}\n\n');
});

test("the caller gets messages of any type unchanged, and the plugin gets a date range as sent", async () => {
  const sent = [
    { type: "ui", message: { protocol: "a2ui", protocol_version: "v0.9.1", messages: [{}] } },
    { type: "hologram", message: ["depth", 3], more: null },
  ];
  const range = { start: "2026-01-01", end: "2026-01-31" };
  const door = await openTestDoor({
    script: (session) => {
      for (const message of [...sent, session.data["tool_parameters"]]) session.item(message);
      session.end();
    },
  });
  const asked = { ...TOOL_CALL, credential_type: "passkey", tool_parameters: { range } };
  const answer = await invokeTool(door, asked, AS_DOCUMENT);
  expect(await answer.json()).toMatchObject({ items: [...sent, { range }] });
});

test("with Accept: application/json the answer is one document", async () => {
  const door = await openTestDoor();
  const answer = await invokeTool(door, TOOL_CALL, AS_DOCUMENT);
  expect(await answer.json()).toMatchObject({ items: [{ type: "text", message: { text: '{"n":1}' } }] });
});

test("the plugin receives the caller's JSON unchanged, all envelope keys, and the fields that the SDK requires", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script });
  const { url } = await door.listen();
  const text = `{\n "user_id": "u", "provider": "berth/echo/echo", "model": "m",\n "prompt_messages": [], "app_id": "a"}`;
  const asked = fetch(request(`${url}${PLUGIN_PATH}/invoke_llm`, "POST", { body: text }));
  const { line, end } = await first(1);
  expect(Object.keys(line)).toEqual([
    "session_id",
    "request_id",
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
  const door = await openTestDoor();
  const long = await post(door, `${PLUGIN_PATH}/invoke/tool/invoke_tool`, {
    ...TOOL_CALL,
    tool_name: undefined,
    tool: "say",
  });
  expect(long.status).toBe(200);
  expect((await invokeTool(door, { ...TOOL_CALL, tool: "say" })).status).toBe(200);
  const differing = await invokeTool(door, { ...TOOL_CALL, tool: "sing" });
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
    TOOL_CALL,
    404,
    "installation_not_found",
    ["berth/echo"],
  ],
  [
    "an unknown provider",
    `${PLUGIN_PATH}/invoke_tool`,
    { ...TOOL_CALL, provider: "no" },
    404,
    "provider_not_found",
    ["echo", "berth/echo/echo"],
  ],
  [
    "an unknown tool",
    `${PLUGIN_PATH}/invoke_tool`,
    { ...TOOL_CALL, tool_name: "no" },
    404,
    "tool_not_found",
    ["say", "sing"],
  ],
  [
    "an unknown type",
    `${PLUGIN_PATH}/invoke/nothing/x`,
    TOOL_CALL,
    404,
    "operation_not_found",
    expect.arrayContaining(["tool"]),
  ],
  [
    "an unknown action",
    `${PLUGIN_PATH}/invoke/tool/x`,
    TOOL_CALL,
    404,
    "operation_not_found",
    expect.arrayContaining(["invoke_tool"]),
  ],
  [
    "a kind that the plugin does not offer",
    `${PLUGIN_PATH}/invoke/endpoint/invoke_endpoint`,
    { raw_http_request: "" },
    404,
    "operation_not_found",
    ["tool", "model"],
  ],
  [
    "a field of the wrong type",
    `${PLUGIN_PATH}/invoke_tool`,
    { ...TOOL_CALL, tool_parameters: null },
    400,
    "invalid_input",
    "a value of type object",
  ],
  [
    "a missing field",
    `${PLUGIN_PATH}/invoke_tool`,
    { provider: "echo", tool: "say" },
    400,
    "invalid_input",
    "a value of type string",
  ],
  [
    "a tenant that is not a UUID",
    "/v1/tenants/x/plugins/berth/echo/invoke_tool",
    TOOL_CALL,
    400,
    "invalid_input",
    "a UUID",
  ],
  ["a list as body", `${PLUGIN_PATH}/invoke_tool`, "[]", 400, "invalid_input", "a JSON object"],
])("%s is refused with what is accepted", async (_name, path, body, status, code, accepted) => {
  const door = await openTestDoor();
  const answer = await post(door, path, body);
  expect(answer.status).toBe(status);
  expect((await errorOf(answer)).error).toMatchObject({ code, details: { accepted } });
});

test("malformed JSON, a wrong content type, a body over the limit, no key and another tenant's key have their own codes", async () => {
  const door = await openTestDoor();
  const codes = [];
  const foreign = await door.keyring.create({ name: "x", tenantId: OTHER_TENANT });
  for (const [body, options] of [
    ["{", {}],
    ["{}", { headers: { "content-type": "text/plain" } }],
    [{ ...TOOL_CALL, tool_parameters: { x: "x".repeat(1024 * 1024) } }, {}],
    [TOOL_CALL, { key: "" }],
    [TOOL_CALL, { key: foreign.key }],
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

test("a call of a known plugin does not query the store", async () => {
  const door = await openTestDoor();
  await (await invokeTool(door)).text();
  door.memory.calls.length = 0;
  for (let n = 0; n < 5; n++) expect((await invokeTool(door)).status).toBe(200);
  expect(door.memory.calls).toEqual([]);
});

test("a plugin that was just installed is found without waiting for the poll", async () => {
  const door = await openTestDoor();
  const [old] = door.memory.installations.splice(0);
  door.memory.installations.push(anInstallation({ tenantId: OTHER_TENANT }));
  expect(old?.tenantId).toBe(TENANT);
  const path = `/v1/tenants/${OTHER_TENANT}/plugins/berth/echo/invoke_tool`;
  expect((await post(door, path)).status).toBe(200);
});

test("a plugin's own error is returned with its class, message and args", async () => {
  const door = await openTestDoor({
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
  expect((await invokeTool(door, TOOL_CALL, AS_DOCUMENT)).status).toBe(502);
});

test("a plugin that dies during a call is reported at once as plugin_crashed with exit code and OOM flag", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script });
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

test("each state of an installation has its own answer", async () => {
  const door = await openTestDoor();
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

test("each call is logged as one wide event with ids and times, without another request line", async () => {
  const door = await openTestDoor();
  await (await invokeTool(door, TOOL_CALL, { headers: { "x-request-id": "r7" } })).text();
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

test("a large number keeps every digit on its way to the plugin", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script });
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
