/** One tenant's path with another's ids, on every route; and bodies that nobody should send, on every route. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aTenant, eventually, type PackedPlugin, packPlugin } from "../harness/clients/client.ts";
import { type Envelope, eventsOf, toldBy } from "../harness/clients/dify.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { DIFY_ROUTES } from "../harness/samples/dify-routes.ts";
import { length } from "../harness/samples/lengths.ts";

const KEY = "a key of the platform";
const MINE = aTenant();
const THEIRS = aTenant();
const NAME = "nobody else's name";

/** What only its own tenant may see or change. */
interface Owned {
  readonly installation: string;
  readonly task: string;
  readonly endpoint: string;
  readonly hook: string;
}

let site: Site;
let berth: BerthProcess;
let plugin: PackedPlugin;
let mine: Owned;
beforeAll(async () => {
  site = await openSite({ env: { BERTH_DIFY_KEY: KEY } });
  berth = await site.start();
  plugin = await packPlugin("hook-echo");
  mine = await setUp();
});
afterAll(() => site?.[Symbol.asyncDispose]());

interface Asked {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

async function send(route: string, path: string, { body, headers }: Asked = {}): Promise<Response> {
  const [method = ""] = route.split(" ");
  return await fetch(new URL(path, berth.url), {
    method,
    redirect: "manual",
    headers: {
      "x-api-key": KEY,
      ...(body !== undefined && !(body instanceof FormData) && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: body instanceof FormData ? body : JSON.stringify(body) }),
  });
}

async function ask<T>(method: "GET" | "POST", path: string, asked: Asked = {}): Promise<T> {
  const { code, message, data } = (await (await send(method, path, asked)).json()) as Envelope;
  if (code !== 0) throw new Error(`${path}: ${message}`);
  return data as T;
}

const own = (path: string) => `/plugin/${MINE}/${path}`;

async function setUp(): Promise<Owned> {
  const form = new FormData();
  form.append("dify_pkg", new File([new Uint8Array(plugin.bytes)], "dify_pkg"));
  await ask("POST", own("management/install/upload/package"), { body: form });
  const { task_id: task } = await ask<{ task_id: string }>("POST", own("management/install/identifiers"), {
    body: { plugin_unique_identifiers: [plugin.identifier], source: "package", metas: [{}] },
  });
  const { list } = await eventually(async () => {
    const page = own("management/list?page=1&page_size=256");
    const found = await ask<{ list: readonly { installation_id: string }[] }>("GET", page);
    return found.list.length === 1 ? found : undefined;
  });
  // The plugin is listed before its install task is at its end, which still changes the task's row.
  await eventually(async () => {
    const { state } = await berth.json<{ state: string }>(200, "GET", `/v1/tenants/${MINE}/tasks/${task}`);
    return state === "ready" ? true : undefined;
  });
  const settings = { greeting: NAME, token: NAME };
  await ask("POST", own("endpoint/setup"), {
    body: { plugin_unique_identifier: plugin.identifier, user_id: "u", name: NAME, settings },
  });
  const endpoints = await ask<readonly { id: string; hook_id: string }[]>(
    "GET",
    own("endpoint/list?page=1&page_size=100"),
  );
  const [endpoint] = endpoints;
  return {
    installation: list[0]?.installation_id ?? "",
    task,
    endpoint: endpoint?.id ?? "",
    hook: endpoint?.hook_id ?? "",
  };
}

const PAGE = "page=1&page_size=100";
const MODEL = { provider: "p", model: "m", credentials: {}, credential_type: "api-key" };
const SOURCE = { provider: "p", datasource: "d", credentials: {} };
const SUBSCRIPTION = { provider: "p", subscription: {}, credentials: {} };

/** A whole `data` of each operation, under the last part of its path. */
const DATA: Readonly<Record<string, object>> = {
  "tool/invoke": { provider: "echo", tool: "echo", tool_parameters: {}, credentials: {} },
  "tool/validate_credentials": { provider: "echo", credentials: {} },
  "tool/get_runtime_parameters": { provider: "echo", tool: "echo", credentials: {} },
  "agent_strategy/invoke": { agent_strategy_provider: "p", agent_strategy: "s", agent_strategy_params: {} },
  "llm/invoke": {
    ...MODEL,
    model_type: "llm",
    model_parameters: {},
    stop: null,
    stream: true,
    prompt_messages: [{ role: "user", content: [{ type: "text", data: "hi" }] }],
    tools: [{ name: "t", description: "", parameters: {} }],
  },
  "llm/num_tokens": { ...MODEL, model_type: "llm", prompt_messages: [{ role: "user", content: "hi" }] },
  "text_embedding/invoke": { ...MODEL, model_type: "text-embedding", texts: ["a"], input_type: "document" },
  "multimodal_embedding/invoke": {
    ...MODEL,
    model_type: "text-embedding",
    input_type: "query",
    documents: [{ content: "a", content_type: "text" }],
  },
  "text_embedding/num_tokens": { ...MODEL, model_type: "text-embedding", texts: ["a"] },
  "rerank/invoke": {
    ...MODEL,
    model_type: "rerank",
    query: "q",
    docs: ["a"],
    score_threshold: 0.5,
    top_n: 1,
  },
  "multimodal_rerank/invoke": {
    ...MODEL,
    model_type: "rerank",
    query: { content: "q", content_type: "text" },
    docs: [{ content: "a", content_type: "text" }],
  },
  "tts/invoke": { ...MODEL, model_type: "tts", content_text: "a", voice: "v", tenant_id: THEIRS },
  "tts/model/voices": { ...MODEL, model_type: "tts", language: "en" },
  "speech2text/invoke": { ...MODEL, model_type: "speech2text", file: "00ff" },
  "moderation/invoke": { ...MODEL, model_type: "moderation", text: "a" },
  "model/validate_provider_credentials": MODEL,
  "model/validate_model_credentials": { ...MODEL, model_type: "llm" },
  "model/schema": { ...MODEL, model_type: "llm" },
  "model/polling/start": { ...MODEL, model_type: "llm", prompt_messages: [{ role: "user", content: "hi" }] },
  "model/polling/check": { ...MODEL, model_type: "llm", plugin_state: { a: 1 } },
  "oauth/get_authorization_url": { provider: "p", redirect_uri: "r", system_credentials: {} },
  "oauth/get_credentials": {
    provider: "p",
    redirect_uri: "r",
    system_credentials: {},
    raw_http_request: "00",
  },
  "oauth/refresh_credentials": { provider: "p", redirect_uri: "r", system_credentials: {}, credentials: {} },
  "dynamic_select/fetch_parameter_options": {
    provider: "p",
    provider_action: "a",
    parameter: "x",
    credentials: {},
  },
  "datasource/validate_credentials": SOURCE,
  "datasource/get_website_crawl": { ...SOURCE, datasource_parameters: {} },
  "datasource/get_online_document_pages": { ...SOURCE, datasource_parameters: {} },
  "datasource/get_online_document_page_content": { ...SOURCE, page: {} },
  "datasource/online_drive_browse_files": { ...SOURCE, request: { bucket: "b", prefix: "", max_keys: 1 } },
  "datasource/online_drive_download_file": { ...SOURCE, request: { bucket: "b", id: "i" } },
  "trigger/invoke_event": {
    ...SUBSCRIPTION,
    event: "e",
    raw_http_request: "00",
    parameters: {},
    payload: {},
  },
  "trigger/validate_credentials": { provider: "p", credentials: {} },
  "trigger/dispatch_event": { ...SUBSCRIPTION, raw_http_request: "00" },
  "trigger/subscribe": { provider: "p", endpoint: "e", parameters: {}, credentials: {} },
  "trigger/unsubscribe": SUBSCRIPTION,
  "trigger/refresh": SUBSCRIPTION,
};

/** A whole request of each route that acts for a tenant, for whom and with the ids given. */
function requestOf(route: string, tenant: string, ids: Owned): { path: string } & Asked {
  const pattern = route.slice(route.indexOf(" ") + 1);
  const named = { plugin_unique_identifier: plugin.identifier };
  const identifier = encodeURIComponent(plugin.identifier);
  const at = (path: string) => `/plugin/${tenant}/${path}`;
  const [, group = "", action = ""] = /^\/(?:plugin\/:|v2\/invoke)\/(\w[\w-]*)\/?(.*)$/.exec(pattern) ?? [];
  if (group === "dispatch") {
    const body = { user_id: "u", tenant_id: tenant, data: DATA[action] };
    return pattern.startsWith("/v2/")
      ? { path: pattern, body, headers: { "x-plugin-unique-identifier": plugin.identifier } }
      : { path: at(`dispatch/${action}`), body, headers: { "x-plugin-id": plugin.pluginId } };
  }
  if (pattern === "/v2/invoke/extract")
    return { path: pattern, headers: { "x-plugin-unique-identifier": plugin.identifier } };
  const requests: Readonly<Record<string, Asked & { path?: string }>> = {
    "debugging/key": {},
    "asset/:": { path: `asset/${"ab".repeat(32)}.svg` },
    "extract-asset/": { path: `extract-asset/?plugin_unique_identifier=${identifier}&file_path=icon.svg` },
    "endpoint/setup": { body: { ...named, user_id: "u", name: "n", settings: { greeting: "hi" } } },
    "endpoint/remove": { body: { endpoint_id: ids.endpoint } },
    "endpoint/update": { body: { endpoint_id: ids.endpoint, user_id: "u", name: "n", settings: {} } },
    "endpoint/enable": { body: { endpoint_id: ids.endpoint } },
    "endpoint/disable": { body: { endpoint_id: ids.endpoint } },
    "endpoint/list": { path: `endpoint/list?${PAGE}` },
    "endpoint/list/plugin": { path: `endpoint/list/plugin?plugin_id=${plugin.pluginId}&${PAGE}` },
    "management/install/upload/package": { body: new FormData() },
    "management/install/upload/bundle": { body: new FormData() },
    "management/install/identifiers": {
      body: { plugin_unique_identifiers: [], source: "package", metas: [] },
    },
    "management/install/upgrade": {
      body: {
        original_plugin_unique_identifier: plugin.identifier,
        new_plugin_unique_identifier: plugin.identifier.replace("0.0.1", "0.0.2"),
        source: "package",
        meta: {},
      },
    },
    "management/install/tasks": { path: `management/install/tasks?${PAGE}` },
    "management/install/tasks/:": { path: `management/install/tasks/${ids.task}` },
    "management/install/tasks/:/delete": { path: `management/install/tasks/${ids.task}/delete` },
    "management/install/tasks/:/delete/*": {
      path: `management/install/tasks/${ids.task}/delete/${plugin.identifier}`,
    },
    "management/install/tasks/delete_all": {},
    "management/uninstall": { body: { plugin_installation_id: ids.installation } },
    "management/:/list": { path: `management/tool/list?${PAGE}` },
    "management/installation/ids": { path: "management/installation/ids?category=tool" },
    "management/installation/fetch/batch": { body: { plugin_ids: [plugin.pluginId] } },
    "management/installation/missing": { body: { plugin_unique_identifiers: [plugin.identifier] } },
    "management/tools/check_existence": {
      body: { provider_ids: [{ plugin_id: plugin.pluginId, provider_name: "echo" }] },
    },
  };
  const request = requests[`${group}/${action}`.replace(/\/$/, group === "extract-asset" ? "/" : "")];
  const query = /^(tool|trigger|agent_strategy|datasource)$/.test(action)
    ? `plugin_id=${plugin.pluginId}&provider=echo`
    : `plugin_unique_identifier=${identifier}&${PAGE}`;
  const path =
    request?.path ?? (request === undefined ? `${group}/${action}?${query}` : `${group}/${action}`);
  return { ...request, path: at(path) };
}

const TENANT_ROUTES = DIFY_ROUTES.filter((route) => / \/(plugin|v2)\//.test(route));

/** All that a tenant sees of its own, and that its plugin still answers on every way in. */
async function viewOf(tenant: string, hook: string): Promise<object> {
  const paths = ["management/list", "management/install/tasks", "management/tools", "endpoint/list"];
  const lists = await Promise.all(
    paths.map((path) => ask<unknown>("GET", `/plugin/${tenant}/${path}?${PAGE}`)),
  );
  const called = requestOf("POST /plugin/:/dispatch/tool/invoke", tenant, mine);
  const answer = await send("POST", called.path, called);
  const hooked = await fetch(new URL(`/e/${hook}/echo`, berth.url));
  return { lists, answer: eventsOf(await answer.text()), hooked: hooked.status };
}

test("no route shows or changes anything of another tenant", async () => {
  const before = await viewOf(MINE, mine.hook);
  const secrets = [...Object.values(mine), NAME, MINE];
  for (const route of TENANT_ROUTES) {
    const { path, ...asked } = requestOf(route, THEIRS, mine);
    const text = await (await send(route, path, asked)).text();
    // what was asked for may be said back; nothing else of the other tenant
    const said = JSON.stringify([path, asked]);
    expect({ route, leaked: secrets.filter((one) => text.includes(one) && !said.includes(one)) }).toEqual({
      route,
      leaked: [],
    });
  }
  expect(await viewOf(MINE, mine.hook)).toEqual(before);
});

test("a call for another tenant's plugin is answered as if it were not installed, with or without a version", async () => {
  for (const route of TENANT_ROUTES.filter((one) => one.includes("/dispatch/"))) {
    const { path, ...asked } = requestOf(route, THEIRS, mine);
    const answer = await send(route, path, asked);
    const { type, message } = toldBy((await answer.json()) as Envelope);
    const isVersion = route.includes("/v2/");
    expect([route, answer.status, type]).toEqual([
      route,
      404,
      isVersion ? "PluginDaemonInternalServerError" : "PluginNotFoundError",
    ]);
    expect(message).toMatch(
      isVersion ? /^no available node, plugin runtime not found/ : /^plugin not found$/,
    );
  }
});

/** One member, anywhere in it, missing or of another kind. */
function mutated(value: unknown): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.constantFrom(...pathsOf(value)), junk, fc.boolean())
    .map(([path, by, isMissing]) => changed(structuredClone(value), path, isMissing ? undefined : by));
}

const junk = fc.oneof(
  fc.constantFrom<unknown>(null, "", 0, -1, 1e308, 2 ** 53, 0.5, true, [], {}, [[]], [null], {
    a: { b: [] },
  }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom("\u0000", "\ud800", "'; --", "x".repeat(5000), "../../x", `a/b:0.0.1@${"ab".repeat(32)}`),
  fc.jsonValue({ maxDepth: 3 }),
);

function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (!isObject(value)) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

function changed(value: unknown, path: readonly string[], by: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined || !isObject(value)) return by;
  const inner = changed(Reflect.get(value, key), rest, by);
  if (inner !== undefined) Reflect.set(value, key, inner);
  else if (rest.length === 0) Reflect.deleteProperty(value, key);
  return value;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

const RULE = /^Key: '([\w.[\]]+)' Error:Field validation for '(\w+|\w+\[\d+\])' failed on the '\w+' tag$/;
/** Text that no row holds is refused at the edge, before the daemon's rules are asked. */
const STORABLE =
  /^\S+ (is|holds) .+; accepted: text (without U\+0000|in which every character can be stored)/;

function expectFieldNamed(message: string): void {
  for (const line of message.split("\n"))
    expect(line).toMatch(new RegExp(`${RULE.source}|${STORABLE.source}`));
}

test("no request body causes a server error, and every refusal names its fields", {
  timeout: 600_000,
}, async () => {
  const posts = TENANT_ROUTES.filter((route) => {
    const { body } = requestOf(route, MINE, mine);
    return (
      body !== undefined && !(body instanceof FormData) && !/uninstall|endpoint\/(remove|setup)/.test(route)
    );
  });
  const cases = fc.constantFrom(...posts).chain((route) => {
    const request = requestOf(route, MINE, mine);
    return mutated(request.body).map((body) => ({ route, request, body }));
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ route, request, body }) => {
      const answer = await send(route, request.path, { ...request, body: body ?? null });
      const text = await answer.text();
      expect({ route, body, status: answer.status }).not.toMatchObject({ status: 500 });
      const events =
        text.startsWith("data: ") || text === "" ? eventsOf(text) : [JSON.parse(text) as Envelope];
      for (const event of events.filter(({ code }) => code !== 0)) {
        const { message } = toldBy(event);
        expect(message).not.toMatch(/Internal error;/);
        if (answer.status === 400) expectFieldNamed(message);
      }
    }),
    { numRuns: length({ short: 250, soak: 5000 }), seed: 20261122 },
  );
});

test("no query causes a server error, and every refusal names its fields", {
  timeout: 600_000,
}, async () => {
  const gets = TENANT_ROUTES.filter((route) => route.startsWith("GET ") && !/asset|readme/.test(route));
  const cases = fc.constantFrom(...gets).chain((route) => {
    const url = new URL(requestOf(route, MINE, mine).path, "http://door");
    return mutated(Object.fromEntries(url.searchParams)).map((query) => ({
      route,
      path: url.pathname,
      query,
    }));
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ route, path, query }) => {
      const flat = Object.entries(isObject(query) ? query : {}).map(
        ([key, value]) => [key, String(value)] as [string, string],
      );
      const headers = { "x-plugin-unique-identifier": plugin.identifier };
      const answer = await send(route, `${path}?${new URLSearchParams(flat)}`, { headers });
      const event = (await answer.json()) as Envelope;
      expect({ route, query, status: answer.status }).not.toMatchObject({ status: 500 });
      if (event.code === 0) return;
      const { message } = toldBy(event);
      expect(message).not.toMatch(/Internal error;/);
      if (answer.status === 400) expectFieldNamed(message);
    }),
    { numRuns: length({ short: 250, soak: 5000 }), seed: 20261122 },
  );
});
