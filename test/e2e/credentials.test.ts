/** A model whose credentials its tenant keeps, called by /v1 and by a tool that calls back, in their containers. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aTenant, install, packPlugin, toolTexts } from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

const SECRET = "only-the-plugin-may-see-this";
const MODEL = "berth-tests/every-model";

/** Accepts keys without `bad`, and answers with the hash of the one that it got. */
const MODEL_CODE = `import hashlib

import berth_protocol


def handle(session):
    key = session.data["credentials"].get("key", "")
    if session.data["action"] == "validate_provider_credentials":
        if "bad" in key:
            raise ValueError(f"{key} is not valid")
        session.send("stream", {"result": True, "credentials": {}})
    else:
        session.send("stream", {"model": session.data["model"], "hash": hashlib.sha256(key.encode()).hexdigest()})


if __name__ == "__main__":
    berth_protocol.serve(handle)
`;

/** Calls the model back, and says each item of its answer. */
const CALLER_CODE = `import json
import queue
import sys
import types

import berth_protocol

ANSWERS = queue.Queue()


def requests(lines):
    for raw in lines:
        line = json.loads(raw)
        if line["event"] == "backwards_response":
            ANSWERS.put(line["data"])
        else:
            yield raw


def handle(session):
    request = {"provider": "${MODEL}/p", "model": "m", "model_type": "llm", "prompt_messages": []}
    session.send("invoke", {"type": "llm", "backwards_request_id": "b", "request": request})
    while True:
        answer = ANSWERS.get(timeout=20)
        if answer["event"] == "error":
            raise RuntimeError(answer["message"])
        if answer["event"] == "end":
            return
        session.text(answer["data"]["hash"])


if __name__ == "__main__":
    sys.stdin = types.SimpleNamespace(buffer=requests(sys.stdin.buffer))
    berth_protocol.serve(handle)
`;

const tenant = aTenant();
const path = `/v1/tenants/${tenant}/credentials`;
let site: Site;
let berth: BerthProcess;
beforeAll(async () => {
  site = await openSite();
  berth = await site.start();
  const field = "{variable: key, label: {en_US: Key}, type: secret-input, required: true}";
  const model = await packPlugin("every-kind", {
    "main.py": MODEL_CODE,
    "provider/model.yaml": (text) =>
      text.replace("credential_form_schemas: []", `credential_form_schemas: [${field}]`),
    "manifest.yaml": (text) =>
      text
        .replace("tools:\n    - provider/tool.yaml", "models:\n    - provider/model.yaml")
        .replace("name: every-kind", "name: every-model"),
  });
  const caller = await packPlugin("echo", {
    "main.py": CALLER_CODE,
    "manifest.yaml": (text) =>
      text.replace("permission: {}", "permission: {model: {enabled: true, llm: true}}"),
  });
  await install(berth, model, tenant);
  await install(berth, caller, tenant);
});
afterAll(() => site?.[Symbol.asyncDispose]());

const keep = (name: string, key: string, status: number) =>
  berth.json<{ error?: { message: string } }>(status, "POST", path, {
    body: { provider: `${MODEL}/p`, name, credentials: { key } },
  });
const hashOf = (key: string) => createHash("sha256").update(key).digest("hex");

test("credentials that the plugin has accepted reach it in calls and calls back, and no answer, row, event or log line has them", async () => {
  const answers: unknown[] = [await keep("wrong", `bad ${SECRET}`, 422)];
  expect(answers[0]).toMatchObject({ error: { message: expect.stringContaining("*** is not valid") } });
  answers.push(await keep("main", SECRET, 201), await keep("other", `${SECRET}2`, 201));
  const call = { tenant, pluginId: "berth-tests/echo", tool: "echo", parameters: {} };
  expect(await toolTexts(berth, call)).toEqual([hashOf(SECRET)]);
  const body = { user_id: "u", provider: "p", model: "m", prompt_messages: [], credential: "other" };
  const named = await berth.json(200, "POST", `/v1/tenants/${tenant}/plugins/${MODEL}/invoke_llm`, {
    body,
    headers: { accept: "application/json" },
  });
  expect(named).toMatchObject({ items: [{ model: "m", hash: hashOf(`${SECRET}2`) }] });
  answers.push(named, await berth.json(200, "GET", path));
  const rows = await site.rows("SELECT * FROM berth_credentials");
  const events = await site.rows("SELECT * FROM berth_events");
  const kept = JSON.stringify([answers, rows, events, berth.log]);
  expect(kept).toContain("berth:1:");
  expect(kept).toContain("credential.create");
  expect(kept).not.toContain(SECRET);
});
