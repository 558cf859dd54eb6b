import { describe, expect, test } from "vitest";
import { TenantId } from "../domain/ids.ts";
import type { CallerFields } from "../domain/invocation.ts";
import { indexOperations } from "../domain/operations/operations.ts";
import type { PluginCatalog } from "./plugin-catalog.ts";
import { formatRequestLine } from "./request-line.ts";

const TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000001");
const CATALOG = {
  pluginId: "berth/echo",
  providers: [
    { kind: "tool", name: "echo", items: ["say"] },
    { kind: "model", name: "echo", items: [] },
  ],
} as unknown as PluginCatalog;

function line(text: string, type = "tool", action = "invoke_tool"): string {
  const operation = indexOperations()(type, action);
  if (operation === undefined) throw new Error("no such operation");
  const content: CallerFields = { form: "fields", fields: JSON.parse(text), text };
  const request = { tenantId: TENANT, pluginId: "berth/echo", operation, content, requestId: "r" };
  return formatRequestLine("s", request, CATALOG);
}

/** What JavaScript would write otherwise: digits, an order of names, a name that it has other plans for. */
const PARAMETERS = '{"b":1.0, "2":9007199254740993,"1":-0,"é\\u0041":[1E3,0.10],"__proto__":{"x":1e400}}';

test("the runner finds session and request where it looks for them: first in the line", () => {
  expect(line('{"user_id":"u","provider":"echo","tool":"say","tool_parameters":{}}')).toMatch(
    /^{"session_id":"s","request_id":"r",/,
  );
});

describe("the caller's text reaches the plugin unchanged", () => {
  test.each([
    [
      "Berth has nothing to change in it",
      `{"user_id":"u","provider":"echo","tool":"say","tool_parameters":${PARAMETERS}}`,
    ],
    [
      "the provider is named with its plugin",
      `{"user_id":"u","provider":"berth/echo/echo","tool":"say","tool_parameters":${PARAMETERS}}`,
    ],
    [
      "type and action are given",
      `{"type":"tool","action":"invoke_tool","user_id":"u","provider":"echo","tool":"say",\n"tool_parameters":${PARAMETERS}}`,
    ],
    [
      "the changed field comes last",
      `{"tool_parameters":${PARAMETERS} ,"user_id":"u","tool":"say", "provider" : "berth/echo/echo"\r\n}`,
    ],
    [
      "there is a context",
      `{"context":${PARAMETERS},"user_id":"u","provider":"echo","tool":"say","tool_parameters":${PARAMETERS}}`,
    ],
  ])("if %s", (_, text) => {
    const sent = line(text);
    expect(sent).toContain(`"tool_parameters":${PARAMETERS}`);
    expect(sent).not.toMatch(/[\r\n]/);
    const parsed = JSON.parse(sent) as { data: Record<string, unknown> };
    expect(parsed.data).toMatchObject({ type: "tool", action: "invoke_tool", provider: "echo", tool: "say" });
    // each name once: readers differ in which of two they take
    for (const name of ["type", "action", "provider", "tool", "tool_parameters"])
      expect([name, sent.split(`"${name}":`).length + sent.split(`"${name}" :`).length]).toEqual([name, 3]);
  });

  test("including its context", () => {
    const text = `{"user_id":"u","provider":"echo","tool":"say","context" : ${PARAMETERS}}`;
    expect(line(text)).toContain(`"context":${PARAMETERS},"event":"request"`);
  });

  test("except for the tenant, which Berth sets", () => {
    const text = `{"tenant_id":"x","user_id":"u","provider":"echo","model":"m","model_type":"tts","content_text":"a","voice":"v"}`;
    const sent = line(text, "model", "invoke_tts");
    expect(sent).toContain(`"tenant_id":"${TENANT}"`);
    expect(sent).not.toContain('"tenant_id":"x"');
  });
});
