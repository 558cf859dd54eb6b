/** The calls of plugins as a platform that knows the daemon makes them: gates, rules of the body, streams, errors. */
import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import { DISPATCHED } from "../../src/http/dify/wire/operations/dispatched.ts";
import { IDENTIFIER } from "../harness/builders/a-stored-package.ts";
import { anInstallation } from "../harness/builders/an-installation.ts";
import { ask, dispatch, type Envelope, eventsOf, refusalOf, toldBy } from "../harness/clients/dify.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { type Door, type DoorOptions, openDoor } from "../harness/rigs/door.ts";
import { DIFY_ADMIN_KEY, DIFY_KEY, OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";

const TOOL = { user_id: "u", data: { provider: "echo", tool: "say", tool_parameters: { n: 1 } } };
const LLM = { provider: "echo", model: "m", model_type: "llm", prompt_messages: [] };
const MESSAGE = { type: "text", message: { text: "x" }, meta: null };

async function aDoor(options: DoorOptions = {}): Promise<Door> {
  const door = await openDoor(options);
  onTestFinished(() => door[Symbol.asyncDispose]());
  return door;
}

/** Keeps the one Session for the test. */
function held() {
  const { promise, resolve } = Promise.withResolvers<FakeSession>();
  return { session: promise, script: resolve };
}

/** What a script that ends at once was asked. */
async function seenBy(path: string, body: unknown) {
  const seen: FakeSession[] = [];
  const door = await aDoor({
    script: (session) => {
      seen.push(session);
      session.end();
    },
  });
  const answer = await dispatch(door, path, body);
  return { status: answer.status, answer: await answer.text(), line: seen[0]?.line, data: seen[0]?.data };
}

describe("gates, in the daemon's order", () => {
  test("must be identical 1: an error is a JSON text inside of the envelope, its keys in order", async () => {
    const door = await aDoor();
    const answer = await dispatch(door, "tool/invoke", TOOL, { headers: { "x-api-key": "wrong" } });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(await answer.text()).toBe(
      '{"code":-401,"message":"{\\"message\\":\\"unauthorized\\",\\"error_type\\":\\"PluginDaemonUnauthorizedError\\",\\"args\\":null}","data":null}',
    );
  });

  test("a key that is missing comes before everything else", async () => {
    const door = await aDoor();
    const headers = { "x-api-key": undefined, "x-plugin-id": undefined };
    const answer = await dispatch(door, "tool/invoke", "{", { tenant: "x", headers });
    expect(await refusalOf(answer)).toMatchObject({ status: 401, message: "unauthorized" });
  });

  test("a plugin that is not named comes before the tenant", async () => {
    const door = await aDoor();
    const answer = await dispatch(
      door,
      "tool/invoke",
      {},
      { tenant: "x", headers: { "x-plugin-id": undefined } },
    );
    expect(await refusalOf(answer)).toEqual({
      ...{ status: 400, code: -400, type: "PluginDaemonBadRequestError", message: "plugin_id is required" },
    });
  });

  test("a tenant that is no UUID is an error of the server", async () => {
    const answer = await dispatch(await aDoor(), "tool/invoke", {}, { tenant: "x" });
    expect(await refusalOf(answer)).toMatchObject({
      ...{ status: 500, code: -500, type: "PluginDaemonInternalServerError" },
      message: 'invalid input syntax for type uuid: "x"',
    });
  });

  test.each([
    ["one that nobody has", TENANT, "berth/nothing"],
    ["another tenant's", OTHER_TENANT, "berth/echo"],
    ["one whose name is none", TENANT, "a plugin"],
  ])("must be identical 2: a plugin that the tenant does not have is 404, %s", async (_, tenant, plugin) => {
    const answer = await dispatch(await aDoor(), "tool/invoke", {}, { tenant, plugin });
    expect(await refusalOf(answer)).toEqual({
      ...{ status: 404, code: -404, type: "PluginNotFoundError", message: "plugin not found" },
    });
  });

  test("must be identical 2: one that does not run yet is 404 and -500, in the words of a passing state", async () => {
    const door = await aDoor();
    door.memory.installations[0] = anInstallation({ state: "installing" });
    await door.invoker.refresh();
    const told = await refusalOf(await dispatch(door, "tool/invoke", {}));
    expect(told).toMatchObject({ status: 404, code: -500, type: "PluginDaemonInternalServerError" });
    expect(told.message).toMatch(/^no available node, plugin runtime not found: berth\/echo is installing/);
  });

  test("one that has no Runtime within the start clock is told in the same words", async () => {
    const door = await aDoor({ settings: { startTimeoutMs: 20 } });
    door.runtime.isReady = false;
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toMatchObject({ status: 404, code: -500 });
    expect(told.message).toMatch(
      /^no available node, plugin runtime not found: No Runtime of the plugin was ready/,
    );
  });

  test.each([
    ["disabled", { desired: "disabled" }, "berth/echo is disabled."],
    ["failed", { state: "failed" }, "berth/echo is failed."],
  ] as const)("one that is %s is not told as a passing state", async (_, changes, reason) => {
    const door = await aDoor();
    door.memory.installations[0] = anInstallation(changes);
    await door.invoker.refresh();
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toEqual({
      ...{ status: 404, code: -500, type: "PluginDaemonInternalServerError" },
      message: `the plugin is not running and will not start by itself: ${reason}`,
    });
  });

  test("one in a crash loop is not told as a passing state", async () => {
    const door = await aDoor();
    door.runtime.isReady = false;
    const details = { state: "crash_loop" };
    door.runtime.refusal = new Fault("plugin_not_ready", "It crashed 5 times.", { details });
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toMatchObject({ status: 404, code: -500 });
    expect(told.message).toBe("the plugin is not running and will not start by itself: It crashed 5 times.");
  });

  test("one that is being removed is gone", async () => {
    const door = await aDoor();
    door.memory.installations[0] = anInstallation({ desired: "removed" });
    await door.invoker.refresh();
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toMatchObject({ status: 404, type: "PluginNotFoundError", message: "plugin not found" });
  });

  test("what is busy or stopping is told as a state that passes", async () => {
    const limits = { concurrencyMax: 1 };
    const { session, script } = held();
    const door = await aDoor({ limits, settings: { queueMax: 0 }, script });
    const first = dispatch(door, "tool/invoke", TOOL);
    await session;
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toMatchObject({ status: 429, code: -500, type: "PluginDaemonInternalServerError" });
    expect(told.message).toMatch(/^no available node: /);
    door.invoker.endAll();
    const [cut] = eventsOf(await (await first).text());
    expect(cut && toldBy(cut).message).toMatch(/^no available node: Berth is stopping/);
  });

  test("the rules of the body come last, and name every field that breaks one", async () => {
    const door = await aDoor();
    const missing = await dispatch(door, "tool/invoke", { data: {} }, { plugin: "berth/nothing" });
    expect(missing.status).toBe(404);
    const told = await refusalOf(await dispatch(door, "tool/invoke", { data: {} }));
    expect(told).toEqual({
      ...{ status: 400, code: -400, type: "PluginDaemonBadRequestError" },
      message: [
        "Key: 'Data.Provider' Error:Field validation for 'Provider' failed on the 'required' tag",
        "Key: 'Data.Tool' Error:Field validation for 'Tool' failed on the 'required' tag",
      ].join("\n"),
    });
  });

  test("a body over the bound is refused with a status of its own", async () => {
    const told = await refusalOf(await dispatch(await aDoor(), "tool/invoke", "x".repeat(1024 * 1024 + 1)));
    expect(told).toMatchObject({ status: 413, type: "PluginDaemonBadRequestError" });
  });
});

describe("calls that name a version", () => {
  const V2 = "/v2/invoke/dispatch/tool/invoke";
  const call = (door: Door, body: unknown, identifier?: string) =>
    ask(door, V2, body, { headers: { "x-plugin-unique-identifier": identifier } });

  test("are answered where the tenant of the body runs just that", async () => {
    const door = await aDoor();
    const answer = await call(door, { ...TOOL, tenant_id: TENANT }, IDENTIFIER);
    expect([answer.status, eventsOf(await answer.text()).length]).toEqual([200, 1]);
  });

  test.each([
    [undefined, "PluginDaemonBadRequestError", "X-Plugin-Unique-Identifier header is required"],
    ["berth/echo", "PluginUniqueIdentifierError", "plugin_unique_identifier is not valid: berth/echo"],
  ])("need an identifier: %s", async (identifier, type, message) => {
    const told = await refusalOf(await call(await aDoor(), {}, identifier));
    expect(told).toEqual({ status: 400, code: -400, type, message });
  });

  test.each([
    ["another tenant", OTHER_TENANT, IDENTIFIER],
    ["another version", TENANT, IDENTIFIER.replace("0.0.1", "0.0.2")],
    ["another plugin", TENANT, IDENTIFIER.replace("echo", "other")],
  ])("find nothing that runs for %s", async (_, tenant, identifier) => {
    const told = await refusalOf(await call(await aDoor(), { ...TOOL, tenant_id: tenant }, identifier));
    expect(told).toMatchObject({ status: 404, code: -500, type: "PluginDaemonInternalServerError" });
    expect(told.message).toMatch(/^no available node, plugin runtime not found/);
  });

  test.each([
    [undefined, "required"],
    ["x", "uuid"],
  ])("need a tenant in the body: %s", async (tenant, tag) => {
    const told = await refusalOf(await call(await aDoor(), { ...TOOL, tenant_id: tenant }, IDENTIFIER));
    expect(told).toMatchObject({
      status: 400,
      message: `Key: 'TenantId' Error:Field validation for 'TenantId' failed on the '${tag}' tag`,
    });
  });

  test("do not poll", async () => {
    const answer = await ask(await aDoor(), "/v2/invoke/dispatch/model/polling/start", {});
    expect([answer.status, await answer.text()]).toEqual([
      404,
      '{"code":"not_found","message":"route not found"}',
    ]);
  });
});

describe("what the plugin is sent", () => {
  test("must be identical 8: whatever may be null is taken, and every member is there with its zero", async () => {
    const nulls = { conversation_id: null, message_id: null, app_id: null, endpoint_id: null, context: null };
    const { line } = await seenBy("llm/invoke", {
      ...{ ...nulls, user_id: null },
      data: { ...LLM, model_parameters: null, tools: null, stop: null, tool_choice: null },
    });
    expect(line).toMatchObject({ ...nulls, event: "request" });
    expect(line?.["data"]).toEqual({
      ...{ user_id: "", type: "model", action: "invoke_llm", provider: "echo", model: "m" },
      ...{ credentials: null, model_parameters: null, prompt_messages: [], tools: null, stop: null },
      ...{ json_schema: null, stream: false, model_type: "llm" },
    });
  });

  test("must be identical 8: numbers that are null are zero", async () => {
    const asked = { provider: "echo", model: "m", model_type: "rerank", query: "q", docs: ["", "b"] };
    const { data } = await seenBy("rerank/invoke", {
      data: { ...asked, score_threshold: null, top_n: null },
    });
    expect(data).toMatchObject({ docs: ["", "b"], score_threshold: 0, top_n: 0 });
  });

  test("must be identical 8: prompt messages and their content have all of their members", async () => {
    const { data } = await seenBy("llm/invoke", {
      data: {
        ...LLM,
        prompt_messages: [
          { role: "developer", content: "a", more: 1 },
          {
            role: "user",
            content: [{ type: "image", url: "u" }],
            tool_calls: [{ id: "1" }],
            opaque_body: { a: 1 },
          },
        ],
        tools: [{ name: "t" }],
        tool_choice: { mode: "tool", name: "t" },
      },
    });
    expect(data?.["prompt_messages"]).toEqual([
      { role: "developer", content: "a", name: "", tool_calls: null, tool_call_id: "" },
      {
        ...{ role: "user", name: "", tool_call_id: "", opaque_body: { a: 1 } },
        tool_calls: [{ id: "1", type: "", function: { name: "", arguments: "" } }],
        content: [
          {
            ...{ type: "image", base64_data: "", url: "u", data: "", encode_format: "", format: "" },
            ...{ mime_type: "", detail: "", filename: "" },
          },
        ],
      },
    ]);
    expect(data).toMatchObject({
      tools: [{ name: "t", description: "", parameters: null }],
      tool_choice: { mode: "tool", name: "t" },
    });
  });

  test.each([
    ["null content", { role: "user", content: null }, "Content"],
    ["no content", { role: "user" }, "Content"],
    ["content of another type", { role: "user", content: 5 }, "Content"],
    ["no role", { content: "a" }, "Role"],
  ])("a prompt message with %s is refused by name", async (_, message, field) => {
    const door = await aDoor();
    const told = await refusalOf(
      await dispatch(door, "llm/invoke", { data: { ...LLM, prompt_messages: [message] } }),
    );
    expect(told).toMatchObject({
      status: 400,
      message: `Key: 'Data.PromptMessages[0].${field}' Error:Field validation for '${field}' failed on the 'required' tag`,
    });
  });

  test("names match in any case, members of another type and unknown ones are as if they were not there", async () => {
    const { line, data } = await seenBy("tool/invoke", {
      ...{ USER_ID: "u", app_id: 5, Context: { a: 1 }, unique_identifier: "x" },
      data: { Provider: "echo", TOOL: "say", tool_parameters: [1], credential_type: "", more: 1 },
    });
    expect(line).toMatchObject({ app_id: "", context: { a: 1 } });
    expect(data).toEqual({
      ...{ user_id: "u", type: "tool", action: "invoke_tool", provider: "echo", tool: "say" },
      ...{ tool_parameters: null, credentials: null },
    });
  });

  test("the tenant is that of the path, also where the plugin is told it", async () => {
    const asked = { provider: "echo", model: "m", model_type: "tts", content_text: "a", voice: "v" };
    const body = { tenant_id: OTHER_TENANT, data: { ...asked, tenant_id: OTHER_TENANT } };
    expect((await seenBy("tts/invoke", body)).data).toMatchObject({ tenant_id: TENANT });
    const none = await seenBy("tts/invoke", { data: asked });
    expect(none.answer).toContain("Data.TenantID");
  });

  test.each([
    ["application/json", 200],
    ["application/json; charset=utf-8", 200],
    ["text/plain", 400],
    ["application/x-www-form-urlencoded", 400],
  ])("a body is JSON where it is said to be: %s", async (type, status) => {
    const door = await aDoor();
    const answer = await dispatch(door, "tool/invoke", TOOL, { headers: { "content-type": type } });
    expect(answer.status).toBe(status);
  });

  test.each(["", "[]", "null", '{"data":', "5"])(
    "a body that is no object has no fields: %s",
    async (body) => {
      const told = await refusalOf(await dispatch(await aDoor(), "tool/invoke", body));
      expect(told).toMatchObject({ status: 400, type: "PluginDaemonBadRequestError" });
    },
  );

  test("no body out of the shape of any route is an error of the server", async () => {
    const door = await aDoor();
    const paths = DISPATCHED.map(({ dispatch }) => dispatch.path);
    const wrong = [null, 5, "x", [], {}, { data: null }, { data: [1] }, { data: { provider: {}, texts: 5 } }];
    for (const path of paths)
      for (const body of wrong)
        expect({ path, status: (await dispatch(door, path, JSON.stringify(body))).status }).toEqual({
          ...{ path, status: 400 },
        });
  });
});

describe("streams", () => {
  test("must be identical 3: one envelope a line and nothing else", async () => {
    const door = await aDoor({
      script: (session) => {
        session.item(MESSAGE);
        session.item({ ...MESSAGE, message: { text: "y" } });
        session.end();
      },
    });
    const answer = await dispatch(door, "tool/invoke", TOOL);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    const event = (text: string) =>
      `data: {"code":0,"message":"success","data":{"type":"text","message":{"text":"${text}"},"meta":null}}\n\n`;
    expect(await answer.text()).toBe(event("x") + event("y"));
  });

  test("must be identical 3: no header is sent before the first event, and each event as it comes", async () => {
    const { session, script } = held();
    const door = await aDoor({
      settings: { pingMs: 5 },
      script: (plugin) => (plugin.data["user_id"] === "waits" ? script(plugin) : plugin.end()),
    });
    const raw = await openRaw(door, { ...TOOL, user_id: "waits" });
    const plugin = await session;
    // what had been sent to the one would be there by the time that others are answered
    for (let n = 0; n < 5; n++) await (await dispatch(door, "tool/invoke", TOOL)).text();
    expect(raw.text()).toBe("");
    plugin.item(MESSAGE);
    await raw.until('"text":"x"');
    expect(raw.text()).toMatch(/^HTTP\/1.1 200 OK\r\ncontent-type: text\/event-stream\r\n/);
    for (let n = 0; n < 5; n++) await (await dispatch(door, "tool/invoke", TOOL)).text();
    expect(raw.text()).not.toContain("ping");
    plugin.end();
    await raw.until("\r\n0\r\n\r\n");
  });

  test("must be identical 3: a plugin that ends without a chunk is an empty 200 with its length", async () => {
    const answer = await dispatch(await aDoor({ script: (session) => session.end() }), "tool/invoke", TOOL);
    expect([answer.status, answer.headers.get("content-length"), await answer.text()]).toEqual([
      200,
      "0",
      "",
    ]);
  });

  test("must be identical 4: characters that end a line somewhere are escaped, in chunks and in errors", async () => {
    const text = "a\u0085b\u2028c\u2029d\n\r";
    const door = await aDoor({
      script: (session) => {
        session.item({ ...MESSAGE, message: { text } });
        session.error({ error_type: "E", message: text, args: { text } });
      },
    });
    const body = await (await dispatch(door, "tool/invoke", TOOL)).text();
    expect(body.match(/[\u0085\u2028\u2029]/)).toBeNull();
    const [chunk, error] = eventsOf(body);
    expect(chunk?.data).toMatchObject({ message: { text } });
    expect(JSON.parse(error === undefined ? "" : toldBy(error).message)).toMatchObject({ message: text });
  });

  test("must be identical 1: a plugin's own error is one event after its chunks, its class and args unchanged", async () => {
    const error = { error_type: "InvokeRateLimitError", message: "slow down", args: { after: 5 } };
    const door = await aDoor({
      script: (session) => {
        session.item(MESSAGE);
        session.error(error);
        session.item(MESSAGE);
        session.end();
      },
    });
    const events = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text());
    expect(events.map(({ code }) => code)).toEqual([0, -500]);
    const { type, message } = toldBy(events[1] as Envelope);
    expect([type, message]).toEqual([
      "PluginInvokeError",
      '{"args":{"after":5},"error_type":"InvokeRateLimitError","message":"slow down"}',
    ]);
  });

  test("a call over its time is killed by timeout", async () => {
    const door = await aDoor({ limits: { timeoutMs: 20 }, script: () => undefined });
    const answer = await dispatch(door, "tool/invoke", TOOL);
    expect(answer.status).toBe(200);
    expect(eventsOf(await answer.text()).map(toldBy)).toEqual([
      { code: -500, type: "PluginDaemonInternalServerError", message: "killed by timeout" },
    ]);
  });

  test.each([
    ["plugin_crashed", "ConnectionClosedError"],
    ["link_lost", "ConnectionClosedError"],
    ["plugin_protocol", "plugin_protocol"],
    ["frame_too_large", "frame_too_large"],
  ] as const)("improved 5: a plugin that is lost in a call ends it at once, %s", async (code, errorType) => {
    const lost = new Fault(code, "It went away.", { details: { exit: 9 } });
    const door = await aDoor({
      script: (session) => {
        session.item(MESSAGE);
        session.lost(lost);
      },
    });
    const [, last] = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text());
    const { type, message } = toldBy(last as Envelope);
    expect(type).toBe("PluginInvokeError");
    expect(JSON.parse(message)).toEqual({
      args: { exit: 9 },
      error_type: errorType,
      message: "It went away.",
    });
  });

  test("improved 6: an error that says too little or too much is told all the same", async () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`a${n}`, n]));
    for (const [error, inner] of [
      [null, { args: {}, error_type: "Exception" }],
      [
        { message: "m", args: many },
        { args: many, message: "m" },
      ],
      ["text", { error_type: "Exception" }],
    ] as const) {
      const door = await aDoor({ script: (session) => session.error(error) });
      const [told] = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text()).map(toldBy);
      expect(JSON.parse(told?.message ?? "")).toMatchObject(inner);
    }
  });

  test("improved 5: a caller that reads too slowly is told so in JSON, after what it was sent", async () => {
    const door = await aDoor({
      settings: { callerBufferBytesMax: 1000 },
      script: (session) => {
        for (let n = 0; n < 3; n++) session.item({ ...MESSAGE, message: { text: "x".repeat(1000) } }, 1000);
        session.end();
      },
    });
    const events = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text());
    expect(events.map(({ code }) => code)).toEqual([0, -500]);
    const { type, message } = toldBy(events[1] as Envelope);
    expect(type).toBe("PluginInvokeError");
    expect(JSON.parse(message)).toMatchObject({ error_type: "slow_caller", args: { bufferBytesMax: 1000 } });
  });

  test("a caller that leaves ends its own stream only", async () => {
    const sessions: FakeSession[] = [];
    const both = Promise.withResolvers<void>();
    const door = await aDoor({
      script: (session) => {
        sessions.push(session);
        if (sessions.length === 2) both.resolve();
      },
    });
    const leaving = new AbortController();
    const gone = dispatch(door, "tool/invoke", TOOL, { signal: leaving.signal });
    gone.catch(() => undefined);
    const stays = dispatch(door, "tool/invoke", { ...TOOL, user_id: "stays" });
    await both.promise;
    leaving.abort();
    await expect(gone).rejects.toThrow();
    const own = sessions.find(({ data }) => data["user_id"] === "stays");
    own?.item(MESSAGE);
    own?.end();
    expect(eventsOf(await (await stays).text()).length).toBe(1);
  });

  test("an answer that no client could read is told as one, and nothing after it", async () => {
    const door = await aDoor({
      script: (session) => {
        session.item({ type: "no such type" });
        session.item(MESSAGE);
        session.end();
      },
    });
    const events = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text());
    const told = events.map(toldBy);
    expect(told.map(({ type }) => type)).toEqual(["PluginInvokeError"]);
    expect(JSON.parse(told[0]?.message ?? "")).toMatchObject({ error_type: "unmarshal_error" });
  });
});

describe("polled calls", () => {
  const START = { data: LLM };
  const RUNNING = { status: "running", plugin_state: { id: 1 } };

  test("are answered with one document, the last of several results", async () => {
    const door = await aDoor({
      script: (session) => {
        session.item(RUNNING);
        session.item({ ...RUNNING, plugin_state: { id: 2 } });
        session.end();
      },
    });
    const answer = await dispatch(door, "model/polling/start", START);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([
      200,
      "application/json; charset=utf-8",
    ]);
    expect(await answer.json()).toMatchObject({
      ...{ code: 0, message: "success", data: { status: "running", plugin_state: { id: 2 } } },
    });
  });

  test("tell errors with 200, so that their types reach the caller", async () => {
    const failing = await aDoor({ script: (session) => session.error({ error_type: "E", message: "m" }) });
    expect(await refusalOf(await dispatch(failing, "model/polling/start", START))).toEqual({
      ...{ status: 200, code: -500, type: "PluginInvokeError" },
      message: '{"args":{},"error_type":"E","message":"m"}',
    });
    const silent = await aDoor({ script: (session) => session.end() });
    const told = await refusalOf(await dispatch(silent, "model/polling/start", START));
    expect(JSON.parse(told.message)).toMatchObject({ message: "no polling result received from plugin" });
  });

  test("have the same gates and rules", async () => {
    const door = await aDoor();
    const absent = await dispatch(door, "model/polling/check", {}, { plugin: "berth/nothing" });
    expect(absent.status).toBe(404);
    const data = { ...LLM, plugin_state: {} };
    const told = await refusalOf(await dispatch(door, "model/polling/check", { data }));
    expect(told.message).toBe(
      "Key: 'Data.PluginState' Error:Field validation for 'PluginState' failed on the 'min' tag",
    );
  });
});

describe("paths", () => {
  test.each([
    ["GET", "/plugin/x/dispatch/tool/invoke"],
    ["POST", "/plugin/x/dispatch/endpoint/invoke"],
    ["POST", "/plugin/x"],
    ["POST", "/v2/none"],
  ])("%s %s is none, in the daemon's words", async (method, path) => {
    const answer = await ask(await aDoor(), path, undefined, { method });
    expect([answer.status, await answer.text()]).toEqual([
      404,
      '{"code":"not_found","message":"route not found"}',
    ]);
  });

  test.each([
    [
      "POST",
      `/plugin/${TENANT}/dispatch/tool/invoke/?a=b`,
      307,
      `/plugin/${TENANT}/dispatch/tool/invoke?a=b`,
    ],
    ["GET", "/v2/invoke/extract/", 301, "/v2/invoke/extract"],
  ])("%s %s is one slash away: %d", async (method, path, status, location) => {
    const answer = await ask(await aDoor(), path, undefined, { method });
    expect([answer.status, answer.headers.get("location")]).toEqual([status, location]);
  });
});

describe("what is not Berth's", () => {
  const admin = { headers: { "x-admin-api-key": DIFY_ADMIN_KEY } };
  const identifier = { plugin_unique_identifier: IDENTIFIER };

  test.each([
    ["POST", `/plugin/${TENANT}/debugging/key`, 200, "remote debugging is not available"],
    ["POST", "/backwards-invocation/transaction", 404, "no plugin runs on a serverless platform here"],
    ["GET", "/debug/pprof/heap", 404, "there are no Go profiles here"],
  ])("%s %s is one refusal that says so", async (method, path, status, message) => {
    const told = await refusalOf(await ask(await aDoor(), path, undefined, { method }));
    expect(told).toMatchObject({ status, type: "PluginDaemonBadRequestError" });
    expect(told.message).toContain(message);
  });

  test("a serverless plugin is not installed again", async () => {
    const door = await aDoor();
    const answer = await ask(door, "/admin/plugin/serverless/reinstall", identifier, admin);
    expect([answer.headers.get("content-type"), await answer.text()]).toEqual([
      "text/event-stream",
      'data: {"code":0,"message":"success","data":{"event":"error","data":"reinstall is not supported on local platform"}}\n\n',
    ]);
    const wrong = { plugin_unique_identifier: "x" };
    expect((await ask(door, "/admin/plugin/serverless/reinstall", wrong, admin)).status).toBe(400);
  });

  test("a serverless plugin is not moved", async () => {
    const body = { ...identifier, function_name: "f", function_url: "u" };
    const answer = await ask(await aDoor(), "/admin/plugin/serverless/switch-endpoint", body, admin);
    expect(await refusalOf(answer)).toMatchObject({
      ...{ status: 200, code: -500, message: "switch serverless runtime is not supported on local platform" },
    });
  });

  test("the operator's routes want the operator's key, and are none without one", async () => {
    const path = "/admin/plugin/serverless/reinstall";
    expect((await ask(await aDoor(), path, identifier)).status).toBe(401);
    const keyless = await aDoor({ settings: { dify: { key: DIFY_KEY, adminKey: undefined } } });
    expect((await ask(keyless, path, identifier, admin)).status).toBe(404);
  });
});

/** A call over a plain socket, to see what is on the wire and when. */
async function openRaw(door: Door, call: unknown) {
  const { url } = await door.listen();
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  let text = "";
  socket.on("data", (piece: Buffer) => {
    text += piece.toString();
  });
  const body = JSON.stringify(call);
  const head = [
    `POST /plugin/${TENANT}/dispatch/tool/invoke HTTP/1.1`,
    ...["Host: door", `X-Api-Key: ${DIFY_KEY}`, "X-Plugin-ID: berth/echo", "Content-Type: application/json"],
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
  return {
    text: () => text,
    async until(part: string) {
      while (!text.includes(part)) await once(socket, "data");
    },
  };
}
