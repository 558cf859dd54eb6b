/** The environment that a plugin finds in its container: what Berth sets, and what its tenant sets. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { change, packEcho, pathOf } from "../harness/clients/changes.ts";
import {
  type AcceptedInstall,
  eventually,
  failInstall,
  install,
  type PackedPlugin,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

const SECRET = "only-the-plugin-may-see-this";

let site: Site;
let berth: BerthProcess;
let [old, next]: PackedPlugin[] = [];
let installed: AcceptedInstall;

/** What Python finds in the folder of files: content and mode by name. */
const FILES =
  '{n: [open(f"/run/berth/files/{n}").read(), os.stat(f"/run/berth/files/{n}").st_mode & 0o777] ' +
  'for n in (os.listdir("/run/berth/files") if os.path.isdir("/run/berth/files") else [])}';

/** It answers with its environment and its files. */
const packed = (version: string) =>
  packEcho(version, {
    "main.py": (text) =>
      text.replace(
        'str(ask.get("text", "hello"))',
        `__import__("json").dumps({**os.environ, "FILES": ${FILES}})`,
      ),
  });

beforeAll(async () => {
  site = await openSite({ env: { BERTH_PLUGIN_TIME_ZONE: "Asia/Tokyo" } });
  berth = await site.start();
  [old, next] = [await packed("0.0.1"), await packed("0.0.2")];
  installed = await install(berth, old);
});
afterAll(() => site?.[Symbol.asyncDispose]());

async function environment(): Promise<Record<string, unknown>> {
  const call = { tenant: installed.tenant, pluginId: old?.pluginId ?? "", tool: "echo", parameters: {} };
  // Each answer of the plugin ends with its version.
  return JSON.parse(String((await toolTexts(berth, call))[0]).replace(/[^}]*$/, ""));
}
const set = (variables: object, status = 200) =>
  berth.json<Record<string, unknown>>(status, "PUT", `${pathOf(installed)}/variables`, {
    body: { variables },
  });

test("a plugin has the operator's time zone, and writable places for what libraries keep", async () => {
  expect(await environment()).toMatchObject({
    TZ: "Asia/Tokyo",
    HOME: "/tmp",
    XDG_CACHE_HOME: "/tmp/.cache",
    HF_HOME: "/tmp/.cache/huggingface",
    MPLCONFIGDIR: "/tmp/.config/matplotlib",
    NLTK_DATA: "/tmp/nltk_data",
    TIKTOKEN_CACHE_DIR: "/tmp/.cache/tiktoken",
  });
});

test("a new container gets the tenant's variables, and no answer, row, event or log line contains the secret", async () => {
  const shown = {
    REGION: { value: "eu", secret: false },
    TOKEN: { secret: true },
    TZ: { value: "UTC", secret: false },
  };
  const asked = { REGION: { value: "eu" }, TOKEN: { value: SECRET, secret: true }, TZ: { value: "UTC" } };
  expect(await set(asked)).toEqual({ variables: shown });
  const found = await eventually(async () => {
    const env = await environment();
    return env["REGION"] === undefined ? undefined : env;
  });
  expect(found).toMatchObject({ REGION: "eu", TOKEN: SECRET, TZ: "UTC", HF_HOME: "/tmp/.cache/huggingface" });
  expect(await berth.json(200, "GET", `${pathOf(installed)}/variables`)).toEqual({ variables: shown });
  const rows = await site.rows(
    "SELECT i.variables AS own, p.variables AS pool FROM berth_installations i, berth_pools p",
  );
  const kept = JSON.stringify([rows, await site.rows("SELECT * FROM berth_events"), berth.log]);
  expect(kept).toContain("berth:1:");
  expect(kept).not.toContain(SECRET);
  const { items } = await berth.json<{ items: readonly object[] }>(
    200,
    "GET",
    `/v1/tenants/${installed.tenant}/events`,
  );
  expect(items).toContainEqual(
    expect.objectContaining({ kind: "installation.variables", subject: "REGION,TOKEN,TZ", result: "done" }),
  );
});

test("an upgrade keeps the variables, also a secret that was sent without its value, and its first container has them", async () => {
  if (next === undefined) throw new Error("it is not packed");
  await upload(berth, next);
  await set({ TOKEN: { secret: true }, REGION: { value: "us" } });
  await change(berth, installed, "upgrade", { identifier: next.identifier });
  expect(await environment()).toMatchObject({ REGION: "us", TOKEN: SECRET, TZ: "Asia/Tokyo" });
});

test("a plugin that needs a variable can be installed after it is set, and keeps serving when a later change makes its start fail", async () => {
  const plugin = await packEcho("0.0.3", {
    "main.py": (text) =>
      text.replace("import berth_protocol", 'import berth_protocol\n\nos.environ["NEEDED"]'),
  });
  const failed = await failInstall(berth, plugin);
  expect(failed.cause).toMatchObject({ code: "start_crashed" });
  const path = `${pathOf(failed)}/variables`;
  await berth.json(200, "PUT", path, { body: { variables: { NEEDED: { value: "1" } } } });
  await install(berth, plugin, failed.tenant);
  await berth.json(200, "PUT", path, { body: { variables: {} } });
  await eventually(async () => berth.log.find(({ op, ok }) => op === "pool.replace" && ok === false));
  const call = { tenant: failed.tenant, pluginId: plugin.pluginId, tool: "echo", parameters: {} };
  expect(await toolTexts(berth, call)).toEqual(["hello 0.0.3"]);
});

test("a new container gets the files that the tenant sets, a secret one encrypted everywhere else, and none after they are removed", async () => {
  const file = (name: string) => `${pathOf(installed)}/files/${name}`;
  const put = (name: string, content: string, query = "") =>
    berth.json(200, "PUT", `${file(name)}${query}`, { body: Buffer.from(content) });
  await put("notes.txt", "plain");
  const mode = process.getuid?.() === 0 ? 0o400 : 0o444;
  expect(await put("client.key", SECRET, "?secret=true")).toMatchObject({
    name: "client.key",
    bytes: SECRET.length,
    secret: true,
    sha256: null,
  });
  const filesWhen = (count: number) =>
    eventually(async () => {
      const { FILES: found } = await environment();
      return Object.keys(Object(found)).length === count ? found : undefined;
    });
  expect(await filesWhen(2)).toEqual({ "notes.txt": ["plain", mode], "client.key": [SECRET, mode] });
  const { files } = await berth.json<{ files: object[] }>(200, "GET", `${pathOf(installed)}/files`);
  expect(files).toMatchObject([
    { name: "client.key", secret: true, sha256: null },
    { name: "notes.txt", bytes: 5, secret: false, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
  ]);
  const kept = JSON.stringify([await site.rows("SELECT * FROM berth_plugin_files"), files, berth.log]);
  expect(kept).toContain("berth:1:");
  expect(kept).not.toContain(SECRET);
  expect(kept).not.toContain(Buffer.from(SECRET).toString("base64"));
  for (const name of ["notes.txt", "client.key"])
    expect((await berth.request("DELETE", file(name))).status).toBe(204);
  expect(await filesWhen(0)).toEqual({});
});

test("a file above the limit, of a wrong type or with a wrong name is refused, and its removal is too", async () => {
  const put = (name: string, bytes: number, headers = {}) =>
    berth.request("PUT", `${pathOf(installed)}/files/${name}`, { body: Buffer.alloc(bytes), headers });
  expect((await put("large", 1024 * 1024 + 1)).status).toBe(413);
  expect((await put("text", 1, { "content-type": "text/plain" })).status).toBe(415);
  expect(await (await put(".hidden", 1)).json()).toMatchObject({
    error: { code: "invalid_input", details: { field: "name", value: ".hidden" } },
  });
  expect((await berth.request("DELETE", `${pathOf(installed)}/files/none`)).status).toBe(404);
});

test.each([
  ["PATH", { value: "/tmp" }, "variables.PATH"],
  ["LD_PRELOAD", { value: "/tmp/a.so" }, "variables.LD_PRELOAD"],
  ["HTTPS_PROXY", { value: "http://elsewhere" }, "variables.HTTPS_PROXY"],
  ["1ST", { value: "x" }, "variables.1ST"],
  ["NEW_SECRET", { secret: true }, "variables.NEW_SECRET.value"],
])("%s is refused, with the field and what is accepted", async (name, asked, field) => {
  const { error } = await set({ [name]: asked }, 400);
  expect(error).toMatchObject({ code: "invalid_input", details: { field, accepted: expect.any(String) } });
});
