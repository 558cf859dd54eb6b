/** A plugin in its container that calls a platform back, over both doors. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AcceptedInstall,
  eventually,
  install,
  packPlugin,
  toolTexts,
} from "../harness/clients/client.ts";
import { eventsOf } from "../harness/clients/dify.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { type FakeInnerApi, innerFrame, useInnerApi } from "../harness/servers/inner-api.ts";

const KEY = "the platform's key";
const PLUGIN = "berth-tests/echo";

/** Asks for a model and a tool at the same time, and says each answer as it comes. */
const CALLER = `import json
import queue
import sys
import types

import berth_protocol

ANSWERS = {}


def requests(lines):
    for raw in lines:
        line = json.loads(raw)
        if line["event"] == "backwards_response":
            ANSWERS[line["data"]["backwards_request_id"]].put(line["data"])
        else:
            yield raw


def handle(session):
    for other in session.parameters.get("replay", []):
        call = {"type": "llm", "backwards_request_id": "x", "request": {}}
        data = {"type": "invoke", "data": call}
        berth_protocol.write({"event": "session", "session_id": other, "data": data})
    if "replay" in session.parameters:
        return
    asked = {
        "llm": {"provider": "p/q/r", "model": "m", "mode": "chat", "prompt_messages": [], "stream": True},
        "tool": {"tool_type": "builtin", "provider": "time", "tool": "now", "tool_parameters": {"n": 1.0}},
    }
    for kind, request in asked.items():
        ANSWERS[kind] = queue.Queue()
        call = {"type": kind, "backwards_request_id": kind, "request": request}
        session.send("invoke", call)
    for kind in asked:
        while True:
            answer = ANSWERS[kind].get(timeout=20)
            if answer["event"] == "error":
                raise RuntimeError(answer["message"])
            if answer["event"] == "end":
                break
            session.text(f"{kind} {json.dumps(answer['data'])}")


if __name__ == "__main__":
    sys.stdin = types.SimpleNamespace(buffer=requests(sys.stdin.buffer))
    berth_protocol.serve(handle)
`;

let api: FakeInnerApi;
let site: Site;
let berth: BerthProcess;
let installed: AcceptedInstall;
useInnerApi((started) => {
  api = started;
});
beforeAll(async () => {
  site = await openSite({
    env: { BERTH_DIFY_KEY: KEY, BERTH_DIFY_INNER_URL: api.url, BERTH_DIFY_INNER_KEY: "inner key" },
  });
  berth = await site.start();
  const caller = await packPlugin("echo", {
    "main.py": CALLER,
    "manifest.yaml": (text) =>
      text.replace(
        "permission: {}",
        "permission: {tool: {enabled: true}, model: {enabled: true, llm: true}}",
      ),
  });
  installed = await install(berth, caller);
}, 120_000);
afterAll(() => site?.[Symbol.asyncDispose]());

/** A model's stream that ends after the tool has answered, so that both are open at once. */
function answerBoth(): void {
  const tool = Promise.withResolvers<void>();
  api.answer = async (response, { url }) => {
    const item = (data: object) => innerFrame({ data, error: "" });
    if (url?.endsWith("/invoke/tool")) {
      response.end(item({ type: "text", message: { text: "noon" } }));
      tool.resolve();
      return;
    }
    response.write(item({ delta: "one" }));
    await tool.promise;
    response.end(item({ delta: "two" }));
  };
}

const ANSWERS = [
  'llm {"delta": "one"}',
  'llm {"delta": "two"}',
  'tool {"type": "text", "message": {"text": "noon"}}',
];

test("a plugin's model and tool calls go to the platform, for its caller's tenant and user", async () => {
  answerBoth();
  const { tenant } = installed;
  expect(await toolTexts(berth, { tenant, pluginId: PLUGIN, tool: "echo", parameters: {} })).toEqual(ANSWERS);
  expect(api.asked.map(({ url }) => url).toSorted()).toEqual([
    "/inner/api/invoke/llm",
    "/inner/api/invoke/tool",
  ]);
  for (const { body, headers } of api.asked) {
    expect(headers["x-inner-api-key"]).toBe("inner key");
    expect(JSON.parse(body)).toMatchObject({ tenant_id: tenant, user_id: expect.any(String) });
  }
  expect(api.asked.find(({ url }) => url?.endsWith("tool"))?.body).toContain('"n":1.0');
});

test("the same holds for a call over the platform's own door, and a failure reaches the caller in full", async () => {
  const ask = async () => {
    const data = { provider: "echo", tool: "echo", tool_parameters: {}, credentials: {} };
    const answer = await fetch(`${berth.url}/plugin/${installed.tenant}/dispatch/tool/invoke`, {
      method: "POST",
      headers: { "x-api-key": KEY, "x-plugin-id": PLUGIN, "content-type": "application/json" },
      body: JSON.stringify({ user_id: "someone", data }),
    });
    return JSON.stringify(eventsOf(await answer.text()));
  };
  answerBoth();
  const said = await ask();
  for (const text of ANSWERS) expect(said).toContain(JSON.stringify(text).slice(1, -1));
  expect(api.asked.map(({ body }) => JSON.parse(body).user_id)).toEqual(["someone", "someone"]);
  api.answer = (response) => response.writeHead(500).end("Boom");
  expect(await ask()).toContain("The platform's inner API failed (invoke/llm, status 500): it said: Boom.");
});

test("a call back with a guessed session is an audit event, and asks the platform nothing", async () => {
  const { tenant, installationId } = installed;
  const replay = [crypto.randomUUID(), crypto.randomUUID()];
  await toolTexts(berth, { tenant, pluginId: PLUGIN, tool: "echo", parameters: { replay } });
  const found = await eventually(async () => {
    const path = `/v1/tenants/${tenant}/events?kind=runtime.foreign_call`;
    const { items } = await berth.json<{ items: object[] }>(200, "GET", path);
    return items.length > 0 ? items : undefined;
  });
  expect(found).toMatchObject([{ installation_id: installationId, key_id: "berth", result: "refused" }]);
  expect(api.asked).toEqual([]);
});
