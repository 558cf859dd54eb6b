/** Every operation, asked of a real plugin through both doors: what reaches it, and what its caller gets. */
import { type IncomingMessage, request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChunkKind } from "../../src/http/dify/wire/chunks/chunks.ts";
import { DISPATCHED, type Dispatched } from "../../src/http/dify/wire/operations/dispatched.ts";
import { aTenant, eventually, install } from "../harness/clients/client.ts";
import { type Envelope, eventsOf, toldBy } from "../harness/clients/dify.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { EVERY_KIND, type EveryKind, packEveryKind } from "../harness/samples/every-kind.ts";
import { recorded, withLists } from "../harness/samples/recorded.ts";

const KEY = "a key of the platform";
const TENANT = aTenant();

let site: Site;
let berth: BerthProcess;
beforeAll(async () => {
  site = await openSite({ env: { BERTH_DIFY_KEY: KEY } });
  berth = await site.start();
  const packages = await Promise.all(EVERY_KIND.map(packEveryKind));
  await Promise.all(packages.map((one) => install(berth, one, TENANT)));
});
afterAll(() => site?.[Symbol.asyncDispose]());

type Json = Readonly<Record<string, unknown>>;

const ROWS = DISPATCHED.map((row) => ({ ...row, path: row.dispatch.path }));
const STREAMED = ROWS.filter(({ dispatch }) => dispatch.isPolled !== true);

const KINDS: Readonly<Record<string, EveryKind>> = {
  model: "model",
  agent_strategy: "agent",
  datasource: "datasource",
  trigger: "trigger",
};
const pluginOf = (type: string) => `berth-tests/every-${KINDS[type] ?? "tool"}`;

/** What is asked on a route, and what the daemon makes of it. */
function requestOf(path: string): { readonly input: Json; readonly answer: Json } {
  const route = path === "model/polling/start" ? "llm/invoke" : path;
  const found = recorded("requests").find((one) => one.kind === route && one.name === "whole");
  return found as { input: Json; answer: Json };
}

/** What plugins answer on it, and what the daemon makes of that. */
function chunksOf(kind: ChunkKind): { readonly sent: readonly unknown[]; readonly told: readonly unknown[] } {
  const own = kind === "agent_message" ? "message" : kind;
  const all = recorded("chunks").filter((one) => one.kind === own && one.name === "whole");
  return { sent: all.map(({ input }) => input), told: all.map(({ answer }) => withLists(answer, kind)) };
}

function post(
  row: Pick<Dispatched, "type"> & { path: string },
  context: Json,
  signal?: AbortSignal,
): Promise<Response> {
  const body = { user_id: "u", conversation_id: "c", context, data: requestOf(row.path).input };
  return fetch(`${berth.url}/plugin/${TENANT}/dispatch/${row.path}`, {
    method: "POST",
    headers: { "x-api-key": KEY, "x-plugin-id": pluginOf(row.type), "content-type": "application/json" },
    body: JSON.stringify(body),
    ...(signal !== undefined && { signal }),
  });
}

async function stream(
  row: Pick<Dispatched, "type"> & { path: string },
  context: Json,
): Promise<readonly Envelope[]> {
  const answer = await post(row, context);
  expect(answer.status).toBe(200);
  return eventsOf(await answer.text());
}

/** What the plugin said in an error, which is three times JSON. */
function innerOf(envelope: Envelope | undefined): Json {
  if (envelope === undefined) throw new Error("there is no such event");
  const told = toldBy(envelope);
  expect(told).toMatchObject({ code: -500, type: "PluginInvokeError" });
  return JSON.parse(told.message) as Json;
}

function seen(error: Json): Json {
  expect(error["error_type"]).toBe("Seen");
  return JSON.parse(String(error["message"])) as Json;
}

describe("through the Dify API", () => {
  test("there are 36 routes", () => expect(ROWS).toHaveLength(36));

  test.each(ROWS)(
    "must be identical 8: $path gives the plugin what the daemon would give it",
    async (row) => {
      const answer = await post(row, { show: true });
      const told =
        row.dispatch.isPolled === true
          ? ((await answer.json()) as Envelope)
          : eventsOf(await answer.text())[0];
      expect(seen(innerOf(told))).toEqual({
        event: "request",
        conversation_id: "c",
        message_id: null,
        app_id: null,
        endpoint_id: null,
        context: { show: true },
        data: {
          ...requestOf(row.path).answer,
          user_id: "u",
          type: row.type,
          action: row.action,
          ...(row.tenantField !== undefined && { [row.tenantField]: TENANT }),
        },
      });
    },
  );

  test.each(STREAMED)("$path returns each chunk to its caller as the daemon would", async (row) => {
    const { sent, told } = chunksOf(row.dispatch.chunk);
    expect(await stream(row, { answer: sent })).toEqual(
      told.map((data) => ({ code: 0, message: "success", data })),
    );
  });

  test.each(ROWS.filter(({ dispatch }) => dispatch.isPolled === true))(
    "$path answers with the last of several results",
    async (row) => {
      const { sent, told } = chunksOf("polling");
      const answer = await post(row, { answer: sent });
      expect(await answer.json()).toEqual({ code: 0, message: "success", data: told.at(-1) });
    },
  );
});

describe("through /v1", () => {
  test.each(ROWS)(
    "$action reaches the plugin, and the caller receives the plugin's answer unchanged",
    async (row) => {
      const { sent } = chunksOf(row.dispatch.chunk);
      const path = `/v1/tenants/${TENANT}/plugins/${pluginOf(row.type)}/invoke/${row.type}/${row.action}`;
      const ask = (context: Json) => {
        const body = { user_id: "u", ...requestOf(row.path).input, context };
        return Array.fromAsync(berth.events(path, { method: "POST", body }));
      };
      const events = await ask({ answer: sent });
      expect(events.map(({ name }) => name)).toEqual([...sent.map(() => "item"), "end"]);
      expect(events.slice(0, -1).map(({ data }) => data)).toEqual(sent);
      const [told] = await ask({ show: true });
      const { error } = (told?.data ?? {}) as { error: { message: string } };
      expect(JSON.parse(error.message)).toMatchObject({
        data: { type: row.type, action: row.action, user_id: "u" },
      });
    },
  );
});

const AGENT = { type: "agent_strategy", path: "agent_strategy/invoke" };
const TOOL = { type: "tool", path: "tool/invoke" };
const text = (value: string) => ({ type: "text", message: { text: value }, meta: null });

test("improved 4: a file of an agent strategy is complete, including the bytes of its last piece", async () => {
  const piece = (bytes: string, end: boolean) => ({
    type: "blob_chunk",
    message: { id: "f", sequence: 0, total_length: 6, blob: Buffer.from(bytes).toString("base64"), end },
    meta: { mime_type: "text/plain" },
  });
  const events = await stream(AGENT, { answer: [piece("abc", false), text("between"), piece("def", true)] });
  const blob = Buffer.from("abcdef").toString("base64");
  expect(events.map(({ data }) => data)).toEqual([
    text("between"),
    { type: "blob", message: { blob }, meta: { mime_type: "text/plain" } },
  ]);
});

test("improved 4: the largest file of an agent strategy arrives in one piece", async () => {
  const bytes = 15 * 1024 * 1024;
  const [event, ...rest] = await stream(AGENT, { file_bytes: bytes });
  const { message } = (event?.data ?? {}) as { message: { blob: string } };
  expect(Buffer.from(message.blob, "base64").equals(Buffer.alloc(bytes, "f"))).toBe(true);
  expect(rest).toEqual([]);
});

test("improved 4: a caller that reads late gets every chunk of an agent strategy", async () => {
  const count = 2000;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(
      `${berth.url}/plugin/${TENANT}/dispatch/${AGENT.path}`,
      {
        method: "POST",
        headers: {
          "x-api-key": KEY,
          "x-plugin-id": pluginOf(AGENT.type),
          "content-type": "application/json",
        },
      },
      resolve,
    ).on("error", reject);
    sent.end(
      JSON.stringify({ user_id: "u", context: { count, padding: 1000 }, data: requestOf(AGENT.path).input }),
    );
  });
  // nothing is taken off the connection until the plugin has said all of it
  await eventually(async () =>
    berth.log.find(({ op, items }) => op === "invocation.invoke" && items === count),
  );
  let body = "";
  answer.setEncoding("utf8");
  for await (const part of answer) body += String(part);
  const numbers = eventsOf(body).map(({ data }) =>
    Number.parseInt((data as { message: { text: string } }).message.text, 10),
  );
  expect(numbers).toEqual(Array.from({ length: count }, (_, number) => number));
});

test("a chunk that no client can read ends the stream with unmarshal_error, after the chunks before it", async () => {
  const [first, second, ...rest] = await stream(TOOL, {
    answer: [text("a"), { type: "text", message: "nonsense" }, text("b")],
  });
  expect(first?.data).toEqual(text("a"));
  expect(innerOf(second)).toMatchObject({
    error_type: "unmarshal_error",
    message: expect.stringContaining("unmarshal json failed: "),
  });
  expect(rest).toEqual([]);
});

test("improved 5: a plugin that dies during a call is reported as ConnectionClosedError, which clients know", async () => {
  const [first, second, ...rest] = await stream(TOOL, { answer: [text("a")], exit_code: 7 });
  expect(first?.data).toEqual(text("a"));
  expect(innerOf(second)).toMatchObject({
    error_type: "ConnectionClosedError",
    message: expect.any(String),
    args: { exitCode: 7 },
  });
  expect(rest).toEqual([]);
});
