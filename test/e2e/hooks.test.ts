/** Addresses of endpoints with a real plugin in its container: what goes in, what comes out, and what it costs. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { change } from "../harness/clients/changes.ts";
import {
  type AcceptedInstall,
  eventually,
  getInstallation,
  install,
  type PackedPlugin,
  packPlugin,
} from "../harness/clients/client.ts";
import { startLoadOf } from "../harness/clients/load.ts";
import { rssBytes } from "../harness/processes/resident.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { callHook, errorOf, type HookRequest } from "../harness/rigs/hook.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { length } from "../harness/samples/lengths.ts";

const MIB = 1_048_576;
const DIFY_KEY = "the platform's key";

let site: Site;
let berth: BerthProcess;
let plugin: PackedPlugin;
let installed: AcceptedInstall;
let hook: { readonly id: string; readonly hookId: string };

beforeAll(async () => {
  site = await openSite({
    // a thread for each of many calls at once
    env: { BERTH_DIFY_KEY: DIFY_KEY, BERTH_PLUGIN_PIDS_MAX: "2000", BERTH_PLUGIN_MEMORY_MB_FLOOR: "512" },
  });
  berth = await site.start();
  plugin = await packPlugin("hook-echo");
  installed = await install(berth, plugin);
  const created = await berth.json<{ id: string; hook_id: string }>(
    201,
    "POST",
    `/v1/tenants/${installed.tenant}/endpoints`,
    { body: { plugin_id: plugin.pluginId, name: "a hook", settings: { greeting: "hi", token: "a secret" } } },
  );
  hook = { id: created.id, hookId: created.hook_id };
}, 180_000);
afterAll(() => site?.[Symbol.asyncDispose]());

const ask = (path: string, more: Omit<HookRequest, "port" | "path"> = {}) =>
  callHook({ port: Number(new URL(berth.url).port), path: `/e/${hook.hookId}${path}`, ...more });

test("a plugin receives the endpoint's id and decrypted settings; the caller receives the plugin's status and headers", async () => {
  const answer = await ask("/settings", { method: "POST" });
  expect(answer).toMatchObject({ status: 201, headers: { "content-type": "application/json" } });
  expect(JSON.parse(answer.body)).toEqual({
    settings: { greeting: "hi", token: "a secret" },
    endpoint_id: hook.id,
    version: "0.0.1",
  });
});

test("a request reaches the plugin as raw HTTP/1.1, and every piece of a fast stream returns in order", async () => {
  const headers = {
    "x-b": "2",
    "x-a": "1",
    "content-type": "text/plain",
    "x-forwarded-for": "1.2.3.4",
    host: "h:1",
  };
  const { body } = await ask("/echo?b=2&a=1", { method: "PUT", headers, body: "the body" });
  expect(body).toBe(
    [
      "PUT /echo?a=1&b=2 HTTP/1.1",
      ...["Host: h:1", "User-Agent: Go-http-client/1.1", "Content-Length: 8", "Connection: close"],
      ...["Content-Type: text/plain", `Dify-Hook-Id: ${hook.hookId}`],
      `Dify-Hook-Url: http://h:1/e/${hook.hookId}/echo`,
      ...["X-A: 1", "X-B: 2", "", "the body"],
    ].join("\r\n"),
  );
  const count = length({ short: 3_000, soak: 100_000 });
  const streamed = await ask(`/stream?n=${count}`);
  expect(streamed.body).toBe(Array.from({ length: count }, (_, n) => `${n};`).join(""));
});

test("a body of exactly the limit arrives complete, and one byte more returns 413", async () => {
  const fits = await ask("/size", { method: "POST", body: Buffer.alloc(10 * MIB, "x") });
  expect(fits.status).toBe(200);
  expect(Number(fits.body)).toBeGreaterThan(10 * MIB);
  expect(await ask("/size", { method: "POST", body: Buffer.alloc(10 * MIB + 1) })).toMatchObject({
    status: 413,
  });
});

describe("a plugin that", () => {
  test("fails returns 500 with its own error message", async () => {
    const found = errorOf(await ask("/fail"));
    expect(found).toMatchObject({ status: 500, type: "PluginDaemonInternalServerError" });
    expect(JSON.parse(found.message)).toMatchObject({ error_type: "ValueError", message: "no such luck" });
  });

  test("announces too long a content length has its response aborted", async () => {
    await expect(ask("/short")).rejects.toThrow("aborted");
  });

  test("dies before its first byte returns 502, and after it an aborted response; the next request is answered", async () => {
    expect(await ask("/die")).toMatchObject({ status: 502 });
    expect(await ask("/version")).toMatchObject({ status: 200, body: "aye 0.0.1" });
    await expect(ask("/die-late")).rejects.toThrow("aborted");
    expect(await ask("/version")).toMatchObject({ status: 200, body: "aye 0.0.1" });
  });
});

test("500 requests at once all return 200, and memory stays bounded", async () => {
  await ask("/version");
  const before = await rssBytes(berth);
  const count = 500;
  const rounds = length({ short: 1, soak: 20 });
  let peak = before;
  const watching = setInterval(async () => {
    peak = Math.max(peak, await rssBytes(berth));
  }, 100);
  const statuses = new Map<number, number>();
  const one = async (number: number) => {
    const post = { method: "POST", body: Buffer.alloc(16 * 1024, "x") };
    const { status } = await ask(`/stream?n=10&delay_ms=20&bytes=4096&number=${number}`, post);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  };
  for (let round = 0; round < rounds; round++)
    await Promise.all(Array.from({ length: count }, (_, n) => one(n)));
  clearInterval(watching);
  expect(Object.fromEntries(statuses)).toEqual({ 200: count * rounds });
  expect((peak - before) / MIB).toBeLessThan(300);
  console.info(
    `500 hooks at once: ${Math.round(before / MIB)} MiB before, ${Math.round(peak / MIB)} MiB at most`,
  );
}, 300_000);

test("an upgrade and a rollback lose no request to a hook", async () => {
  const version = "0.0.2";
  const next = await packPlugin("hook-echo", {
    "manifest.yaml": (text) => text.replace(/^version: .*/m, `version: ${version}`),
    "main.py": (text) => text.replace('VERSION = "0.0.1"', `VERSION = "${version}"`),
  });
  await berth.json(201, "POST", "/v1/packages", { body: next.bytes });
  const seen = new Set<string>();
  const load = startLoadOf(async () => {
    const { status, body } = await ask("/version", { method: "POST", body: "x" });
    if (status !== 200 || !body.startsWith("aye ")) throw new Error(`${status} ${body}`);
    seen.add(body);
  }, 25);
  for (let round = 0; round < length({ short: 1, soak: 20 }); round++) {
    await change(berth, installed, "upgrade", { identifier: next.identifier });
    expect((await ask("/version")).body).toBe(`aye ${version}`);
    await change(berth, installed, "rollback");
    expect((await ask("/version")).body).toBe("aye 0.0.1");
  }
  const done = load.done;
  await eventually(async () => (load.done > done + 20 ? true : undefined));
  await load.stop();
  expect(load.failures).toEqual([]);
  expect([...seen].sort()).toEqual(["aye 0.0.1", `aye ${version}`]);
  expect(await getInstallation(berth, installed)).toMatchObject({
    state: "ready",
    identifier: plugin.identifier,
  });
}, 300_000);

test("a trigger receives the same raw request through both APIs, and returns a raw response", async () => {
  const trigger = await packPlugin("hook-echo", {
    "manifest.yaml": (text) =>
      text
        .replace(/^name: .*/m, "name: hook-trigger")
        .replace(/^plugins:[\s\S]*(?=^meta:)/m, "plugins:\n  triggers:\n    - provider/trigger.yaml\n"),
  });
  const { tenant } = await install(berth, trigger);
  const raw = "POST /event?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nping";
  const asked = {
    provider: "hook-echo",
    subscription: { endpoint: "http://h/event", properties: {} },
    raw_http_request: Buffer.from(raw).toString("hex"),
  };
  const check = (item: { response: string; events: string[]; payload: { raw: string } }) => {
    expect(item).toMatchObject({ events: ["asked"], payload: { raw: asked.raw_http_request } });
    const response = Buffer.from(item.response, "hex").toString();
    expect(response).toBe(`HTTP/1.1 202 Accepted\r\nX-Seen: ${raw.length}\r\nContent-Length: 4\r\n\r\nping`);
  };
  const path = `/v1/tenants/${tenant}/plugins/${trigger.pluginId}/invoke/trigger/dispatch_trigger_event`;
  const events = await Array.fromAsync(
    berth.events(path, { method: "POST", body: { user_id: "u", ...asked } }),
  );
  expect(events.map(({ name }) => name)).toEqual(["item", "end"]);
  check(events[0]?.data as Parameters<typeof check>[0]);
  const answer = await fetch(`${berth.url}/plugin/${tenant}/dispatch/trigger/dispatch_event`, {
    method: "POST",
    headers: { "x-api-key": DIFY_KEY, "x-plugin-id": trigger.pluginId, "content-type": "application/json" },
    body: JSON.stringify({ user_id: "u", data: asked }),
  });
  const [line = ""] = (await answer.text()).split("\n\n");
  const { code, data } = JSON.parse(line.replace(/^data: /, ""));
  expect([answer.status, code]).toEqual([200, 0]);
  check(data);
}, 120_000);
