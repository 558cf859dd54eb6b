/** The main job on the examples: a real package goes in, a streamed answer comes out of its own limited container. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AcceptedInstall,
  accept,
  aTenant,
  callTool,
  follow,
  getInstallation,
  install,
  type PackedPlugin,
  packPlugin,
  streamTool,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";

let site: Site;
let berth: BerthProcess;
beforeAll(async () => {
  site = await openSite({ database: "embedded", isUntouched: true });
  berth = await site.start();
});
afterAll(() => site[Symbol.asyncDispose]());

const MIB = 1 << 20;
const TEXT = "every plugin has its berth";
const WORDS = ["every", " plugin", " has", " its", " berth"];

test("a real package is uploaded, installed in steps with times, and answers as a stream", async () => {
  const plugin = await packPlugin("examples/stream-text");
  const uploaded = await upload(berth, plugin);
  expect(uploaded).toMatchObject({
    identifier: plugin.identifier,
    dialect: "real",
    providers: [{ kind: "tool", name: "stream-text" }],
    limits: { memory_bytes: 256 * MIB, storage_bytes: 100 * MIB, cpu_millis: 1000, pids_max: 256 },
    declaration: { author: "berth", name: "stream-text" },
  });

  const accepted = await accept(berth, plugin);
  const events = await follow(berth, accepted);
  const steps = events.filter(({ type }) => type === "step");
  expect(steps.map(({ step }) => step)).toEqual([
    "queued",
    "fetching",
    "verifying",
    "resolving",
    "building",
    "starting",
    "ready",
  ]);
  const times = events.map(({ at }) => Date.parse(at));
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  expect(events.at(-1)).toMatchObject({ type: "end", state: "ready" });
  const installation = await getInstallation(berth, accepted);
  expect(installation).toMatchObject({ state: "ready", cause: null, last_task: { state: "ready" } });
  expect(installation.limits_granted).toMatchObject({ memory_bytes: 256 * MIB, timeout_ms: 600_000 });

  const { tenant } = accepted;
  const call = { tenant, pluginId: plugin.pluginId, tool: "stream_text", parameters: { text: TEXT } };
  expect((await toolTexts(berth, call)).slice(0, -1)).toEqual(WORDS);
  const answered = await callTool(berth, call);
  expect(answered.at(-2)?.data).toMatchObject({
    type: "json",
    message: { json_object: { words: 5, characters: TEXT.length } },
  });
  expect(answered.at(-1)).toEqual({ name: "end", data: { items: 6 } });
});

test("an item arrives long before the plugin has finished its answer", async () => {
  const plugin = await packPlugin("examples/stream-text");
  const { tenant } = await install(berth, plugin);
  const parameters = { text: "first second", delay_ms: 30_000 };
  const call = { tenant, pluginId: plugin.pluginId, tool: "stream_text", parameters };
  const began = performance.now();
  for await (const { data } of streamTool(berth, call)) {
    expect(data).toMatchObject({ message: { text: "first" } });
    break;
  }
  expect(performance.now() - began).toBeLessThan(SOON_MS);
});

test("a seed package runs unmodified, and a second upload finds its stored archive", async () => {
  const plugin = await packPlugin("examples/seed-echo");
  const uploaded = await upload(berth, plugin);
  expect(uploaded).toMatchObject({
    dialect: "seed",
    limits: {
      memory_bytes: 256 * MIB,
      storage_bytes: 100 * MIB,
      concurrency_max: 10,
      timeout_ms: 30_000,
    },
  });
  const { tenant } = await install(berth, plugin);
  const path = `/v1/tenants/${tenant}/plugins/${plugin.pluginId}`;
  const body = {
    user_id: "u",
    provider: "seed_echo",
    tool: "my_tool",
    credentials: {},
    tool_parameters: { query: "ahoy" },
  };
  const short = await berth.json<{ items: unknown[] }>(200, "POST", `${path}/invoke_tool`, { body });
  expect(short.items).toMatchObject([{ type: "text", message: { text: "You said: ahoy" } }]);
  const long = await berth.json<{ items: unknown[] }>(200, "POST", `${path}/invoke/tool/invoke_tool`, {
    body,
  });
  expect(long.items).toEqual(short.items);
  const again = await berth.request("POST", "/v1/packages", { body: plugin.bytes });
  expect(again.status).toBe(200);
  expect(await again.json()).toMatchObject({ identifier: plugin.identifier });
});

describe("a model", () => {
  let plugin: PackedPlugin;
  let installed: AcceptedInstall;
  beforeAll(async () => {
    plugin = await packPlugin("examples/tiny-model");
    installed = await install(berth, plugin, aTenant());
  });
  const llm = { user_id: "u", provider: "tiny-model", model_type: "llm", model: "parrot", credentials: {} };
  const prompt_messages = [{ role: "user", content: "land ahoy" }];

  test("streams the words of a language model through the short form", async () => {
    const path = `/v1/tenants/${installed.tenant}/plugins/${plugin.pluginId}/invoke_llm`;
    const body = { ...llm, prompt_messages, model_parameters: {}, stream: true };
    const events = await Array.fromAsync(berth.events(path, { method: "POST", body }));
    const chunks = events.slice(0, -1).map(({ data }) => data as { delta: { message: { content: string } } });
    expect(chunks.map(({ delta }) => delta.message.content)).toEqual(["You", " said:", " land", " ahoy"]);
    expect(chunks.at(-1)).toMatchObject({
      delta: { finish_reason: "stop", usage: { prompt_tokens: 2, completion_tokens: 4 } },
    });
    expect(events.at(-1)).toEqual({ name: "end", data: { items: 4 } });
  });

  test("returns embeddings through the long form", async () => {
    const path = `/v1/tenants/${installed.tenant}/plugins/${plugin.pluginId}/invoke/model/invoke_text_embedding`;
    const body = { ...llm, model_type: "text-embedding", model: "letters", texts: ["ab", ""] };
    const { items } = await berth.json<{ items: { embeddings: number[][] }[] }>(200, "POST", path, { body });
    const [first, second] = items[0]?.embeddings ?? [];
    expect(first?.slice(0, 3)).toEqual([Math.SQRT1_2, Math.SQRT1_2, 0].map((x) => expect.closeTo(x, 6)));
    expect(second).toEqual(Array(26).fill(0));
  });
});
