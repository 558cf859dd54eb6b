/**
 * Requests as the platform's agent service sends them: a second client of the tool and model routes, with bodies of its
 * own form and stricter readers of the answers.
 */
import { describe, expect, test } from "vitest";
import { dispatch, type Envelope, eventsOf, refusalOf, toldBy } from "../harness/clients/dify.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";

const FILE = {
  dify_model_identity: "__dify__file__",
  type: "custom",
  url: "http://files/y.png",
  filename: "y.png",
  mime_type: "image/png",
  extension: ".png",
  size: -1,
};

/** `user_id` stands beside `data`, after it, or is left out; there is no conversation, message or app. */
const TOOL_DATA = {
  provider: "echo",
  tool: "say",
  credentials: { key: "k" },
  credential_type: "api-key",
  tool_parameters: { when: { start: "2026-01-01", end: "2026-01-31" }, picture: FILE },
};

const FORECAST = {
  name: "weather",
  description: "The weather of a city.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};

const CALL = { id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } };

const picture = (more: object) => ({
  type: "image",
  format: "png",
  mime_type: "image/png",
  filename: "14ce3f.png",
  detail: "low",
  ...more,
});

/** The second round of a conversation: the turn with tool calls alone has an empty text. */
const LLM_DATA = {
  provider: "echo",
  model_type: "llm",
  model: "m",
  credentials: { key: "k" },
  prompt_messages: [
    { role: "system", content: "Be brief.", name: null },
    {
      role: "user",
      content: [
        { type: "text", data: "Where is this?" },
        picture({ url: "http://files/a.png", base64_data: "" }),
        picture({ url: "", base64_data: "YWJj" }),
      ],
      name: null,
    },
    { role: "assistant", content: "", name: null, tool_calls: [CALL] },
    { role: "tool", content: "sunny in Rome", name: "weather", tool_call_id: "c1" },
  ],
  model_parameters: { temperature: 0.5, max_tokens: 9 },
  tools: [FORECAST],
  stop: null,
  stream: false,
};

const USAGE = {
  ...{ prompt_tokens: 3, prompt_unit_price: "0.1", prompt_price_unit: "0.001", prompt_price: "0.0003" },
  ...{ completion_tokens: 2, completion_unit_price: "0.2", completion_price_unit: "0.001" },
  ...{ completion_price: "0.0004", total_tokens: 5, total_price: "0.0007", currency: "USD", latency: 0.5 },
};

/** The SDK adds it from 0.10.1 on. */
const TRACE = { traceback: "Traceback (most recent call last)" };

/** A plugin that answers with the items; what it was asked is kept. */
async function answering(items: readonly unknown[], error?: object) {
  const sessions: FakeSession[] = [];
  const door = await openTestDoor({
    script: (session) => {
      sessions.push(session);
      for (const item of items) session.item(item);
      if (error !== undefined) session.error(error);
      session.end();
    },
  });
  return {
    call: async (path: string, body: unknown) => eventsOf(await (await dispatch(door, path, body)).text()),
    seen: () => sessions.at(-1),
    door,
  };
}

describe("tools", () => {
  test.each([
    ["a user", TOOL_DATA, { user_id: "u" }],
    ["no user", TOOL_DATA, {}],
    ["an unknown type of credentials", { ...TOOL_DATA, credential_type: "passkey" }, {}],
  ])("the plugin gets what the agent sends with %s", async (_, data, more) => {
    const plugin = await answering([]);
    await plugin.call("tool/invoke", { data, ...more });
    expect(plugin.seen()?.line).toMatchObject({ conversation_id: null, message_id: null, app_id: null });
    const named = { user_id: "", type: "tool", action: "invoke_tool" };
    expect(plugin.seen()?.data).toEqual({ ...named, ...data, ...more });
  });

  test("a message of type ui reaches the agent with the plugin's members and no others", async () => {
    const surface = {
      protocol: "a2ui",
      protocol_version: "v0.9.1",
      messages: [{ version: "v0.9.1", createSurface: { surfaceId: "s", catalogId: "c" } }],
      fallback: null,
    };
    const plugin = await answering([{ type: "ui", message: surface }]);
    const events = await plugin.call("tool/invoke", { data: TOOL_DATA });
    expect(events).toEqual([
      { code: 0, message: "success", data: { type: "ui", message: surface, meta: null } },
    ]);
  });

  test("a piece of a file keeps its id, sequence, length and end", async () => {
    const piece = { id: "f", sequence: 0, total_length: 3, blob: "YWJj", end: true };
    const chunk = { type: "blob_chunk", message: piece, meta: { mime_type: "text/plain" } };
    const plugin = await answering([chunk]);
    const [event] = await plugin.call("tool/invoke", { data: TOOL_DATA });
    expect(event?.data).toEqual(chunk);
  });

  test("an error event has the plugin's error inside the message of the envelope", async () => {
    const error = { error_type: "ToolProviderCredentialValidationError", message: "wrong key", args: TRACE };
    const plugin = await answering([], error);
    const [event] = await plugin.call("tool/invoke", { data: TOOL_DATA });
    const { type, message } = toldBy(event as Envelope);
    expect(type).toBe("PluginInvokeError");
    expect(JSON.parse(message)).toEqual(error);
  });

  test("a call of a missing plugin returns 404 and no event", async () => {
    const { door } = await answering([]);
    const answer = await dispatch(door, "tool/invoke", { data: TOOL_DATA }, { plugin: "berth/none" });
    expect((await refusalOf(answer)).status).toBe(404);
  });
});

describe("models", () => {
  test("a conversation with pictures, a tool call and its result reaches the plugin complete", async () => {
    const plugin = await answering([]);
    await plugin.call("llm/invoke", { data: LLM_DATA, user_id: "u" });
    const none = { type: "", base64_data: "", url: "", data: "", encode_format: "", format: "" };
    const piece = { ...none, mime_type: "", detail: "", filename: "" };
    const message = { name: "", tool_calls: null, tool_call_id: "" };
    expect(plugin.seen()?.data).toEqual({
      ...LLM_DATA,
      user_id: "u",
      type: "model",
      action: "invoke_llm",
      json_schema: null,
      prompt_messages: [
        { ...message, role: "system", content: "Be brief." },
        {
          ...message,
          role: "user",
          content: [
            { ...piece, type: "text", data: "Where is this?" },
            { ...piece, ...picture({ url: "http://files/a.png" }) },
            { ...piece, ...picture({ base64_data: "YWJj" }) },
          ],
        },
        { ...message, role: "assistant", content: "", tool_calls: [CALL] },
        { ...message, role: "tool", content: "sunny in Rome", name: "weather", tool_call_id: "c1" },
      ],
    });
  });

  test("each chunk of the answer has every member that the agent's reader requires", async () => {
    const say = (message: object, more: object = {}) => ({
      model: "m",
      delta: { index: 0, message: { role: "assistant", content: "", ...message }, ...more },
    });
    const plugin = await answering([
      say({ content: "Sun" }),
      say({ tool_calls: [CALL] }),
      say({}, { usage: USAGE, finish_reason: "tool_calls" }),
    ]);
    const events = await plugin.call("llm/invoke", { data: { ...LLM_DATA, stream: true }, user_id: "u" });
    const told = (message: object, more: object = {}) => ({
      model: "m",
      system_fingerprint: "",
      prompt_messages: [],
      delta: {
        index: 0,
        message: { role: "assistant", content: "", name: "", tool_calls: [], tool_call_id: "", ...message },
        usage: null,
        finish_reason: null,
        ...more,
      },
    });
    expect(events.map(({ data }) => data)).toEqual([
      told({ content: "Sun" }),
      told({ tool_calls: [CALL] }),
      told({}, { usage: USAGE, finish_reason: "tool_calls" }),
    ]);
  });
});
