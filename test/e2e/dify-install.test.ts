/** The sequence of a Dify API server: upload, install, poll, call, upgrade, call, uninstall; and what goes wrong in it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { packEcho } from "../harness/clients/changes.ts";
import { aTenant, eventually, type PackedPlugin, packPlugin } from "../harness/clients/client.ts";
import { type Envelope, eventsOf, toldBy } from "../harness/clients/dify.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

const KEY = "a key of the platform";

let site: Site;
let berth: BerthProcess;
let one: PackedPlugin;
let two: PackedPlugin;
beforeAll(async () => {
  site = await openSite({ env: { BERTH_DIFY_KEY: KEY } });
  berth = await site.start();
  [one, two] = [await packEcho("0.0.1"), await packEcho("0.0.2")];
});
afterAll(() => site?.[Symbol.asyncDispose]());

const plugin = (tenant: string, path: string) => new URL(`/plugin/${tenant}/${path}`, berth.url);

async function answerOf(
  path: string,
  tenant: string,
  init: RequestInit,
): Promise<Envelope & { status: number }> {
  const headers = { "x-api-key": KEY, ...Object.fromEntries(new Headers(init.headers)) };
  const answer = await fetch(plugin(tenant, path), { ...init, headers });
  return { status: answer.status, ...((await answer.json()) as Envelope) };
}

/** `data` of an answer that is none of an error. */
async function ask<T>(path: string, tenant: string, body?: unknown): Promise<T> {
  const json = { "content-type": "application/json" };
  const init = body === undefined ? {} : { method: "POST", headers: json, body: JSON.stringify(body) };
  const answer = await answerOf(`management/${path}`, tenant, init);
  if (answer.code !== 0) throw new Error(`${path}: ${answer.message}`);
  return answer.data as T;
}

async function upload(tenant: string, { bytes, identifier }: PackedPlugin): Promise<void> {
  const form = new FormData();
  form.append("dify_pkg", new File([new Uint8Array(bytes)], "plugin.difypkg"));
  const answer = await answerOf("management/install/upload/package", tenant, { method: "POST", body: form });
  expect(answer).toMatchObject({ code: 0, data: { unique_identifier: identifier } });
}

interface Started {
  readonly all_installed: boolean;
  readonly task_id: string;
}

interface TaskView {
  readonly status: string;
  readonly completed_plugins: number;
  readonly plugins: readonly { readonly status: string; readonly message: string }[];
}

function startInstall(tenant: string, ...plugins: readonly PackedPlugin[]): Promise<Started> {
  return ask("install/identifiers", tenant, {
    plugin_unique_identifiers: plugins.map(({ identifier }) => identifier),
    source: "package",
    metas: plugins.map(() => ({})),
  });
}

const taskOf = (tenant: string, { task_id: id }: Started) => ask<TaskView>(`install/tasks/${id}`, tenant);

/** Polls as the platform does, until no task runs; answers what it has seen of its items meanwhile. */
async function poll(tenant: string, started: Started): Promise<TaskView> {
  return await eventually(async () => {
    const tasks = await ask<readonly TaskView[]>("install/tasks?page=1&page_size=100", tenant);
    return tasks.some(({ status }) => status === "running") ? undefined : await taskOf(tenant, started);
  });
}

interface ListItem {
  readonly installation_id: string;
  readonly plugin_unique_identifier: string;
}

async function list(tenant: string): Promise<readonly ListItem[]> {
  return (await ask<{ readonly list: readonly ListItem[] }>("list?page=1&page_size=100", tenant)).list;
}

function invoke(tenant: string, parameters: object): Promise<Response> {
  const data = { provider: "echo", tool: "echo", tool_parameters: parameters, credentials: {} };
  return fetch(plugin(tenant, "dispatch/tool/invoke"), {
    method: "POST",
    headers: { "x-api-key": KEY, "x-plugin-id": one.pluginId, "content-type": "application/json" },
    body: JSON.stringify({ user_id: "someone", data }),
  });
}

async function say(tenant: string, parameters: object = { text: "aye" }): Promise<readonly string[]> {
  const answer = await invoke(tenant, parameters);
  const chunks = eventsOf(await answer.text()).map(({ data }) => data as { message: { text: string } });
  return chunks.map(({ message }) => message.text);
}

const installed = {
  status: "success",
  completed_plugins: 1,
  plugins: [{ status: "success", message: "installed" }],
};

test("a package is uploaded, installed, called, upgraded, called, uninstalled and installed again, as Dify does it", async () => {
  const tenant = aTenant();
  await upload(tenant, one);
  const started = await startInstall(tenant, one);
  expect(started).toEqual({ all_installed: false, task_id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  expect(await poll(tenant, started)).toMatchObject(installed);
  expect(await list(tenant)).toMatchObject([
    { plugin_unique_identifier: one.identifier, source: "package", meta: {}, runtime_type: "local" },
  ]);
  expect(await say(tenant)).toEqual(["aye 0.0.1"]);
  expect(await startInstall(tenant, one)).toEqual({ all_installed: true, task_id: "" });

  await upload(tenant, two);
  const upgrade = await ask<Started>("install/upgrade", tenant, {
    original_plugin_unique_identifier: one.identifier,
    new_plugin_unique_identifier: two.identifier,
    source: "marketplace",
    meta: { plugin_unique_identifier: two.identifier },
  });
  expect(await say(tenant)).toEqual([expect.stringMatching(/^aye 0\.0\.[12]$/)]);
  expect(await poll(tenant, upgrade)).toMatchObject({
    status: "success",
    plugins: [{ message: "upgraded", source: "marketplace" }],
  });
  expect(await say(tenant)).toEqual(["aye 0.0.2"]);
  const [item] = await list(tenant);
  expect(item).toMatchObject({ plugin_unique_identifier: two.identifier, source: "marketplace" });

  const id = { plugin_installation_id: item?.installation_id };
  expect(await ask("uninstall", aTenant(), id)).toBe(true);
  expect(await say(tenant)).toEqual(["aye 0.0.2"]);
  expect(await ask("uninstall", tenant, id)).toBe(true);
  expect(await list(tenant)).toEqual([]);
  const gone = await invoke(tenant, {});
  expect([gone.status, toldBy((await gone.json()) as Envelope)]).toEqual([
    404,
    { code: -404, type: "PluginNotFoundError", message: "plugin not found" },
  ]);
  expect(await poll(tenant, await startInstall(tenant, two))).toMatchObject(installed);
  expect(await say(tenant)).toEqual(["aye 0.0.2"]);
});

test("improved 3: an uninstall does not wait for running calls", async () => {
  const tenant = aTenant();
  await upload(tenant, one);
  await poll(tenant, await startInstall(tenant, one));
  // it would go on for longer than this test may take
  const running = await invoke(tenant, { text: "long", messages: 1000, delay_ms: 1000 });
  const [item] = await list(tenant);
  expect(await ask("uninstall", tenant, { plugin_installation_id: item?.installation_id })).toBe(true);
  expect(await list(tenant)).toEqual([]);
  await running.body?.cancel();
  expect(await poll(tenant, await startInstall(tenant, one))).toMatchObject(installed);
  expect(await say(tenant)).toEqual(["aye 0.0.1"]);
});

test("a failed install gives the cause in its item's message, and stays listed until it is removed", async () => {
  const tenant = aTenant();
  const broken = await packPlugin("echo", {
    "manifest.yaml": (text) => text.replace(/^version: .*/m, "version: 0.0.3"),
    "main.py": (text) => `import a_module_that_nobody_ships\n${text}`,
  });
  await upload(tenant, broken);
  const started = await startInstall(tenant, broken);
  const failed = await poll(tenant, started);
  expect(failed).toMatchObject({ status: "failed", completed_plugins: 0 });
  expect(failed.plugins[0]?.message).toMatch(/a_module_that_nobody_ships.*\(start_crashed\)$/s);
  expect(await list(tenant)).toEqual([]);
  const item = `install/tasks/${started.task_id}/delete/${broken.identifier}`;
  expect(await ask(item, tenant, {})).toBe(true);
  expect(await ask("install/tasks?page=1&page_size=10", tenant)).toEqual([]);
});

test("a batch of three installs continues after a kill, and no item is lost", async () => {
  const tenant = aTenant();
  const three = await Promise.all(
    ["a", "b", "c"].map((letter) =>
      packPlugin("echo", { "manifest.yaml": (text) => text.replace(/^name: .*/m, `name: echo_${letter}`) }),
    ),
  );
  for (const each of three) await upload(tenant, each);
  const started = await startInstall(tenant, ...three);
  await eventually(async () => {
    const { plugins } = await taskOf(tenant, started);
    return plugins.some(({ status }) => status === "running") ? true : undefined;
  });
  await berth.kill("SIGKILL");
  berth = await site.start();
  expect(await poll(tenant, started)).toMatchObject({
    status: "success",
    total_plugins: 3,
    completed_plugins: 3,
  });
  const identifiers = (await list(tenant)).map((item) => item.plugin_unique_identifier);
  expect(identifiers.sort()).toEqual(three.map(({ identifier }) => identifier).sort());
});
