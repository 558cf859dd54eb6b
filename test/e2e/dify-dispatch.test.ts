/** The calls of a platform that knows the daemon, answered by a real plugin in its own container. */
import { request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AcceptedInstall, aTenant, install, packPlugin } from "../harness/clients/client.ts";
import { eventsOf, toldBy } from "../harness/clients/dify.ts";
import { rssBytes } from "../harness/processes/resident.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { length, SOON_MS } from "../harness/samples/lengths.ts";

const KEY = "a platform's key";
const MIB = 1024 * 1024;

let site: Site;
let berth: BerthProcess;
let echo: AcceptedInstall;
beforeAll(async () => {
  site = await openSite({
    env: { BERTH_DIFY_KEY: KEY, BERTH_PLUGIN_FRAME_MB_MAX: "4", BERTH_PLUGIN_PIDS_MAX: "1024" },
  });
  berth = await site.start();
  echo = await install(berth, await packPlugin("echo"));
  await install(berth, await packPlugin("dies-mid-stream"), echo.tenant);
});
afterAll(() => site[Symbol.asyncDispose]());

interface Asked {
  readonly plugin?: "echo" | "dies-mid-stream";
  readonly tenant?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

const TOOLS = { echo: "echo", "dies-mid-stream": "die" } as const;

function call({ plugin = "echo", tenant = echo.tenant, parameters = {} }: Asked) {
  const data = { provider: plugin, tool: TOOLS[plugin], tool_parameters: parameters, credentials: {} };
  const headers = {
    "x-api-key": KEY,
    "x-plugin-id": `berth-tests/${plugin}`,
    "content-type": "application/json",
    "accept-encoding": "gzip, deflate, br",
  };
  const path = `${berth.url}/plugin/${tenant}/dispatch/tool/invoke`;
  return { path, headers, body: JSON.stringify({ user_id: "u", app_id: null, data }) };
}

async function callTool(asked: Asked) {
  const { path, headers, body } = call(asked);
  const answer = await fetch(path, { method: "POST", headers, body });
  return eventsOf(await answer.text());
}

test("a plugin's messages arrive one by one, while the plugin is still working", async () => {
  const { path, headers, body } = call({ parameters: { text: "a\u2028b", messages: 3, delay_ms: 300 } });
  const pieces: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const asked = request(path, { method: "POST", headers }, (answer) => {
      answer.on("data", (piece: Buffer) => pieces.push(piece.toString())).on("end", resolve);
    });
    asked.on("error", reject).end(body);
  });
  expect(pieces.length).toBeGreaterThan(1);
  expect(eventsOf(pieces.join("")).map(({ data }) => data)).toEqual(
    Array.from({ length: 3 }, () => ({ type: "text", message: { text: "a\u2028b" }, meta: null })),
  );
});

test("a plugin's own error keeps its class and its text", async () => {
  const events = await callTool({ parameters: { error: "no such luck" } });
  expect(events.map(({ code }) => code)).toEqual([0, -500]);
  const [, told] = events;
  const { type, message } = toldBy(told ?? { code: 0, message: "{}", data: null });
  expect(type).toBe("PluginInvokeError");
  expect(JSON.parse(message)).toMatchObject({ error_type: "ValueError", message: "no such luck" });
});

test("improved 5: a plugin that dies during a call is reported at once, after its earlier messages", async () => {
  const began = performance.now();
  const events = await callTool({ plugin: "dies-mid-stream", parameters: { exit_code: 7 } });
  expect(performance.now() - began).toBeLessThan(SOON_MS);
  expect(events.map(({ code }) => code)).toEqual([0, -500]);
  const { type, message } = toldBy(events[1] ?? { code: 0, message: "{}", data: null });
  expect(type).toBe("PluginInvokeError");
  expect(JSON.parse(message)).toMatchObject({ error_type: "ConnectionClosedError", args: { exitCode: 7 } });
});

test("an answer over the frame limit is reported as frame_too_large, and the plugin answers the next call", async () => {
  const [told] = await callTool({ parameters: { bytes: 5 * 1024 * 1024 } });
  const { message } = toldBy(told ?? { code: 0, message: "{}", data: null });
  expect(JSON.parse(message)).toMatchObject({ error_type: "frame_too_large" });
  expect(await callTool({ parameters: { text: "still here" } })).toMatchObject([
    { code: 0, data: { message: { text: "still here" } } },
  ]);
});

test("a call for a plugin that only another tenant has installed returns 404", async () => {
  const { path, headers, body } = call({ tenant: aTenant() });
  const answer = await fetch(path, { method: "POST", headers, body });
  expect([answer.status, toldBy(JSON.parse(await answer.text()))]).toEqual([
    404,
    { code: -404, type: "PluginNotFoundError", message: "plugin not found" },
  ]);
});

test("during 500 slow streams another call is answered, memory stays bounded, and every stream is complete", async () => {
  await callTool({});
  const before = await rssBytes(berth);
  let peak = before;
  let ended = 0;
  const messages = length({ short: 40, soak: 240 });
  const { path, headers, body } = call({ parameters: { messages, delay_ms: 500, bytes: 1024 } });
  const { promise: allBegun, resolve } = Promise.withResolvers<void>();
  let begun = 0;
  const one = async () => {
    const answer = await fetch(path, { method: "POST", headers, body });
    begun += 1;
    if (begun === 500) resolve();
    const events = eventsOf(await answer.text());
    ended += 1;
    return events.filter(({ code }) => code === 0).length;
  };
  const streams = Array.from({ length: 500 }, one);
  const watching = setInterval(async () => {
    peak = Math.max(peak, await rssBytes(berth));
  }, 100);
  await allBegun;
  expect(await callTool({ parameters: { text: "between" } })).toMatchObject([
    { code: 0, data: { message: { text: "between" } } },
  ]);
  expect(ended).toBe(0);
  expect(new Set(await Promise.all(streams))).toEqual(new Set([messages]));
  clearInterval(watching);
  expect((peak - before) / MIB).toBeLessThan(200);
  console.info(`500 streams: ${Math.round(before / MIB)} MiB before, ${Math.round(peak / MIB)} MiB at most`);
}, 300_000);
