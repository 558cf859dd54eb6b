import { describe, expect, test } from "vitest";
import { DISPATCHED } from "../../src/http/dify/wire/operations/dispatched.ts";
import { dispatch, refusalOf } from "../harness/clients/dify.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";
import { OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";

const TOOL = { user_id: "u", data: { provider: "echo", tool: "say", tool_parameters: { n: 1 } } };

const LLM = { provider: "echo", model: "m", model_type: "llm", prompt_messages: [] };

/** What a script that ends at once was asked. */
async function seenBy(path: string, body: unknown) {
  const seen: FakeSession[] = [];
  const door = await openTestDoor({
    script: (session) => {
      seen.push(session);
      session.end();
    },
  });
  const answer = await dispatch(door, path, body);
  return { status: answer.status, answer: await answer.text(), line: seen[0]?.line, data: seen[0]?.data };
}

describe("the request that the plugin receives", () => {
  test("must be identical 8: nullable members are accepted, and every member is present with its zero value", async () => {
    const nulls = { conversation_id: null, message_id: null, app_id: null, endpoint_id: null, context: null };
    const { line } = await seenBy("llm/invoke", {
      ...nulls,
      user_id: null,
      data: { ...LLM, model_parameters: null, tools: null, stop: null, tool_choice: null },
    });
    expect(line).toMatchObject({ ...nulls, event: "request" });
    expect(line?.["data"]).toEqual({
      user_id: "",
      type: "model",
      action: "invoke_llm",
      provider: "echo",
      model: "m",
      credentials: null,
      model_parameters: null,
      prompt_messages: [],
      tools: null,
      stop: null,
      json_schema: null,
      stream: false,
      model_type: "llm",
    });
  });

  test("must be identical 8: numbers that are null become zero", async () => {
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
        role: "user",
        name: "",
        tool_call_id: "",
        opaque_body: { a: 1 },
        tool_calls: [{ id: "1", type: "", function: { name: "", arguments: "" } }],
        content: [
          {
            type: "image",
            base64_data: "",
            url: "u",
            data: "",
            encode_format: "",
            format: "",
            mime_type: "",
            detail: "",
            filename: "",
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
  ])("a prompt message with %s is refused with the name of the field", async (_, message, field) => {
    const door = await openTestDoor();
    const told = await refusalOf(
      await dispatch(door, "llm/invoke", { data: { ...LLM, prompt_messages: [message] } }),
    );
    expect(told).toMatchObject({
      status: 400,
      message: `Key: 'Data.PromptMessages[0].${field}' Error:Field validation for '${field}' failed on the 'required' tag`,
    });
  });

  test("member names match in any case; unknown members and members of a wrong type are ignored", async () => {
    const { line, data } = await seenBy("tool/invoke", {
      USER_ID: "u",
      app_id: 5,
      Context: { a: 1 },
      unique_identifier: "x",
      data: { Provider: "echo", TOOL: "say", tool_parameters: [1], credential_type: "", more: 1 },
    });
    expect(line).toMatchObject({ app_id: "", context: { a: 1 } });
    expect(data).toEqual({
      user_id: "u",
      type: "tool",
      action: "invoke_tool",
      provider: "echo",
      tool: "say",
      tool_parameters: null,
      credentials: null,
    });
  });

  test("the plugin receives the tenant of the path, not the tenant of the body", async () => {
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
  ])("a body is read as JSON only if its content type says so: %s", async (type, status) => {
    const door = await openTestDoor();
    const answer = await dispatch(door, "tool/invoke", TOOL, { headers: { "content-type": type } });
    expect(answer.status).toBe(status);
  });

  test.each(["", "[]", "null", '{"data":', "5"])(
    "a body that is not an object is refused as a bad request: %s",
    async (body) => {
      const told = await refusalOf(await dispatch(await openTestDoor(), "tool/invoke", body));
      expect(told).toMatchObject({ status: 400, type: "PluginDaemonBadRequestError" });
    },
  );

  test("a malformed body is answered with 400 on every route", async () => {
    const door = await openTestDoor();
    const paths = DISPATCHED.map(({ dispatch }) => dispatch.path);
    const wrong = [null, 5, "x", [], {}, { data: null }, { data: [1] }, { data: { provider: {}, texts: 5 } }];
    for (const path of paths)
      for (const body of wrong)
        expect({ path, status: (await dispatch(door, path, JSON.stringify(body))).status }).toEqual({
          path,
          status: 400,
        });
  });
});
