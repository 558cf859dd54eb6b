/** A plugin of the public SDK that its author runs, by the file `.env` that the SDK reads, outside of any pool. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  askTool,
  aTenant,
  eventually,
  type InstallationJson,
  install,
  packPlugin,
  toolTexts,
} from "../harness/clients/client.ts";
import { eventsOf } from "../harness/clients/dify.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { callHook } from "../harness/rigs/hook.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { aContainerSpec, within } from "../harness/rigs/test-engine.ts";
import { freePort } from "../harness/servers/free-port.ts";

const DIFY_KEY = "a platform's key";
const PLUGIN = "berth-tests/debugged";
const HEADERS = { "x-api-key": DIFY_KEY, "x-plugin-id": PLUGIN, "content-type": "application/json" };

let site: Site;
let berth: BerthProcess;
let folder: string;
let port: number;
/** The SDK with the plugin's code, as an author has them on a machine. */
let image: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-author-"));
  port = await freePort();
  site = await openSite({ env: { BERTH_DIFY_KEY: DIFY_KEY, BERTH_DEBUG_PORT: String(port) } });
  berth = await site.start();
  await install(berth, await packPlugin("debugged"));
  const [made] = await site.images();
  image = made?.id ?? "";
});
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

let authors = 0;

/** Starts the plugin as its author does: `python -m main` beside an `.env`. */
async function startAuthor(key: string): Promise<string> {
  authors += 1;
  const name = `berth-author-${process.pid}-${authors}`;
  const env = join(folder, `${authors}.env`);
  await writeFile(
    env,
    `INSTALL_METHOD=remote\nREMOTE_INSTALL_URL=127.0.0.1:${port}\nREMOTE_INSTALL_KEY=${key}\n`,
  );
  const instance = String(berth.log.find(({ op }) => op === "http.listen")?.["instance"]);
  const spec = aContainerSpec({
    name,
    image,
    labels: { "berth.instance": instance, "berth.kind": "author" },
    command: ["/opt/venv/bin/python", "-m", "main"],
  });
  const id = await site.engine.createContainer(
    {
      ...spec,
      network: "host",
      workingDir: "/plugin",
      env: { PATH: "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin", PYTHONUNBUFFERED: "1" },
      mounts: [{ hostPath: env, path: "/plugin/.env", readOnly: true }],
      resources: { ...spec.resources, memoryBytes: 512 << 20, pidsMax: 256 },
    },
    within(),
  );
  await site.engine.startContainer(id, within());
  return id;
}

const keyOf = async (tenant: string) =>
  (await berth.json<{ key: string }>(200, "POST", `/v1/tenants/${tenant}/debugging-key`)).key;
const installations = async (tenant: string) =>
  (
    await berth.json<{ items: readonly (InstallationJson & { source: string; status: string })[] }>(
      200,
      "GET",
      `/v1/tenants/${tenant}/installations`,
    )
  ).items;
const note = (tenant: string, text: string) => ({
  tenant,
  pluginId: PLUGIN,
  tool: "note",
  parameters: { text },
});

test("an unmodified plugin of the SDK is called over both doors, calls back, serves its endpoint, and leaves", async () => {
  const tenant = aTenant();
  const asked = await fetch(`${berth.url}/plugin/${tenant}/debugging/key`, {
    method: "POST",
    headers: HEADERS,
  });
  const { code, data } = (await asked.json()) as { code: number; data: { key: string } };
  expect(code).toBe(0);
  expect(data.key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(await keyOf(tenant)).toBe(data.key);
  const author = await startAuthor(data.key);
  const [installation] = await eventually(async () => {
    const found = await installations(tenant);
    return found.length > 0 ? found : undefined;
  });
  expect(installation).toMatchObject({ plugin_id: PLUGIN, source: "remote", status: "running" });
  const listed = await fetch(`${berth.url}/plugin/${tenant}/management/list?page=1&page_size=10`, {
    headers: HEADERS,
  });
  expect(await listed.json()).toMatchObject({
    data: { list: [{ plugin_id: PLUGIN, runtime_type: "remote", source: "remote", meta: {} }], total: 1 },
  });
  // the text comes from the plugin's storage, which it reached by calling back
  expect(await toolTexts(berth, note(tenant, "kept"))).toEqual(["kept"]);
  const answer = await fetch(`${berth.url}/plugin/${tenant}/dispatch/tool/invoke`, {
    method: "POST",
    headers: HEADERS,
    body: JSON.stringify({
      user_id: "u",
      data: { provider: "debugged", tool: "note", tool_parameters: { text: "too" }, credentials: {} },
    }),
  });
  expect(eventsOf(await answer.text())[0]).toMatchObject({ code: 0, data: { message: { text: "too" } } });
  const { hook_id: hook } = await berth.json<{ hook_id: string }>(
    201,
    "POST",
    `/v1/tenants/${tenant}/endpoints`,
    {
      body: { plugin_id: PLUGIN, name: "a hook", settings: { greeting: "hi" } },
    },
  );
  const api = Number(new URL(berth.url).port);
  expect(await callHook({ port: api, path: `/e/${hook}/hello` })).toMatchObject({ status: 201, body: "hi" });
  await site.engine.removeContainer(author, within());
  await eventually(async () => ((await installations(tenant)).length === 0 ? true : undefined));
  expect((await askTool(berth, note(tenant, "gone"))).status).toBe(404);
  // started again, it answers, and its endpoint is there still
  await startAuthor(data.key);
  await eventually(async () => ((await installations(tenant)).length > 0 ? true : undefined));
  expect(await toolTexts(berth, note(tenant, "again"))).toEqual(["again"]);
  expect((await callHook({ port: api, path: `/e/${hook}/hello` })).body).toBe("hi");
});

test("an author with a wrong key or a wrong port reads why on the terminal", async () => {
  const wrong = await startAuthor("wrong");
  expect(await said(wrong, "berth:")).toContain("the key is unknown or has expired");
  port = Number(new URL(berth.url).port);
  const lost = await startAuthor("any");
  expect(await said(lost, "berth:")).toContain("plugins connect to BERTH_DEBUG_PORT");
});

/** The first line of the container's output with the text. */
async function said(id: string, text: string): Promise<string> {
  for await (const line of site.engine.logs(id, { follow: true }, AbortSignal.timeout(60_000)))
    if (line.text.includes(text)) return line.text;
  return "nothing";
}
