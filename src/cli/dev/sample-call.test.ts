import { expect, test } from "vitest";
import { sampleCall, shellLine } from "./sample-call.ts";

const tool = (parameters: object[]) => ({
  tool: {
    identity: { name: "weather" },
    credentials_schema: [{ name: "api_key", type: "secret-input" }],
    tools: [{ identity: { name: "forecast" }, parameters }],
  },
});

test("the call to try has the required parameters of the first tool, and the defaults of others", () => {
  const parameters = [
    { name: "city", type: "string", required: true },
    { name: "days", type: "number", required: true },
    { name: "unit", type: "select", required: true, options: [{ value: "c" }, { value: "f" }] },
    { name: "hourly", type: "boolean", default: false },
    { name: "note", type: "string" },
    { name: "files", type: "files", required: true },
  ];
  expect(sampleCall(tool(parameters))).toEqual({
    path: "invoke_tool",
    body: {
      user_id: "me",
      provider: "weather",
      tool_name: "forecast",
      credentials: { api_key: "..." },
      tool_parameters: { city: "Hello", days: 1, unit: "c", hourly: false, files: [] },
    },
  });
});

test("a plugin with models alone is called with a prompt, and one of another kind has no call to try", () => {
  const models = [
    { model: "e", model_type: "text-embedding" },
    { model: "m", model_type: "llm" },
  ];
  expect(sampleCall({ model: { provider: "acme", models } })).toMatchObject({
    path: "invoke_llm",
    body: { provider: "acme", model: "m", prompt_messages: [{ role: "user", content: "Hello" }] },
  });
  expect(sampleCall({ model: { provider: "acme", models: models.slice(0, 1) } })).toBeUndefined();
  expect(sampleCall({ endpoint: {} })).toBeUndefined();
  expect(sampleCall(undefined)).toBeUndefined();
});

test("a quote in a value stays one in the shell", () => {
  expect(shellLine("http://b/x", "$BERTH_KEY", { text: "it's" })).toBe(
    `curl -sSN http://b/x -H "Authorization: Bearer $BERTH_KEY" -H 'Content-Type: application/json' -d '{"text":"it'\\''s"}'`,
  );
});
