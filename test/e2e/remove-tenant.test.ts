/** A tenant and all that it has is removed by one task, killed on the way once, while its neighbour notices nothing. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  aTenant,
  eventually,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  type TaskJson,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { ON_POSTGRES, openSite, type Site } from "../harness/rigs/site.ts";

/** Keeps a value in its storage, then takes its time to stop. */
const MAIN = `import signal
import time

import berth_protocol

signal.signal(signal.SIGTERM, signal.SIG_IGN)


def handle(session):
    request = {"opt": "set", "key": "k", "value": "00" * 1000}
    session.send("invoke", {"type": "storage", "backwards_request_id": "1", "request": request})
    time.sleep(0.5)
    session.text("kept")


if __name__ == "__main__":
    berth_protocol.serve(handle)
`;

function packKeeper(name: string): Promise<PackedPlugin> {
  return packPlugin("echo", {
    "main.py": MAIN,
    "manifest.yaml": (text) =>
      text
        .replace(/^name: .*/m, `name: ${name}`)
        .replace("permission: {}", "permission: {storage: {enabled: true, size: 1048576}}"),
    "provider/echo.yaml": (text) => text.replace(/^( +)name: .*/m, `$1name: ${name}`),
  });
}

const hasFile = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

describe.each(ON_POSTGRES)("on $database", ({ database }) => {
  const [tenant, neighbour] = [aTenant(), aTenant()];
  const path = `/v1/tenants/${tenant}`;
  let site: Site;
  let berth: BerthProcess;
  let plugins: readonly [PackedPlugin, PackedPlugin];
  let keys: { readonly tenant: string; readonly neighbour: string };
  let neighbours: readonly string[];
  let logFolders: number;
  beforeAll(async () => {
    site = await openSite({ database });
    berth = await site.start();
    plugins = [await packKeeper("keeper"), await packKeeper("hoarder")];
    keys = { tenant: await makeKey(tenant), neighbour: await makeKey(neighbour) };
    for (const plugin of plugins) {
      await berth.json(201, "POST", "/v1/packages", { body: plugin.bytes, key: keys.tenant });
      await install(berth, plugin, tenant);
      await keep(tenant, plugin);
    }
    await install(berth, plugins[0], neighbour);
    await keep(neighbour, plugins[0]);
    neighbours = (await containersOf(neighbour)).map(({ id }) => id);
    logFolders = (await readdir(join(site.dataFolder, "logs"))).length;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const keep = async (owner: string, { pluginId }: PackedPlugin) => {
    expect(await toolTexts(berth, { tenant: owner, pluginId, tool: "echo" })).toEqual(["kept"]);
    const folder = join(site.dataFolder, "storage/persistence", owner, pluginId);
    await eventually(async () => ((await readdir(folder).catch(() => [])).length > 0 ? true : undefined));
  };
  const makeKey = async (owner: string) => {
    const body = { name: "k", tenant_id: owner };
    return (await berth.json<{ key: string }>(201, "POST", "/v1/keys", { body })).key;
  };
  const containersOf = async (owner: string) =>
    (await site.containers()).filter(({ labels }) => labels["berth.tenant"] === owner);
  const list = async <T>(from: string) => (await berth.json<{ items: readonly T[] }>(200, "GET", from)).items;

  test("a tenant's own key shows what the tenant has and uses", async () => {
    expect(await berth.json(200, "GET", path, { key: keys.tenant })).toMatchObject({
      packages_uploaded: 2,
      keys: 1,
      runtimes_running: 2,
      usage: { storage_bytes: 2000 },
      installations: { total: 2, ready: 2 },
    });
  });

  test("a removal closes the tenant at once, and is completed after Berth is killed during it", async () => {
    const { task } = await berth.json<{ task: TaskJson }>(202, "DELETE", path);
    expect((await berth.request("GET", path, { key: keys.tenant })).status).toBe(401);
    const body = { identifier: plugins[0].identifier };
    const refused = await berth.request("POST", `${path}/installations`, { body });
    expect([refused.status, await refused.json()]).toMatchObject([409, { error: { code: "conflict" } }]);
    // both plugins are being stopped now, and take their time: the grace is two seconds
    await eventually(async () => {
      const tasks = await list<{ kind: string; attempt: number }>(`${path}/tasks`);
      const begun = tasks.filter(({ kind, attempt }) => kind === "uninstall" && attempt > 0);
      return begun.length === 2 ? true : undefined;
    });
    await berth.kill("SIGKILL");
    berth = await site.start();
    expect(await berth.json(202, "DELETE", path)).toMatchObject({ task: { id: task.id }, created: false });
    const events = await follow(berth, { tenant, taskId: task.id });
    expect(events.at(-1)).toMatchObject({ type: "end", state: "ready" });
    const said = events.flatMap(({ type, message }) => (type === "progress" ? [message] : []));
    expect(said).toEqual(
      expect.arrayContaining([
        "revoked 1 keys",
        ...plugins.map(({ identifier }) => `uninstalled ${identifier}`),
        "removed 2000 bytes of plugin storage",
        "removed 2 uploads (the archives stay, for operators alone)",
      ]),
    );
    expect(await list(`/v1/events?tenant_id=${tenant}&kind=tenant.remove`)).toMatchObject([
      { key_id: "admin", task_id: task.id, result: "ready" },
    ]);
  });

  test("the containers, storage, logs, installations and keys of a removed tenant are gone", async () => {
    expect(await containersOf(tenant)).toEqual([]);
    expect(await hasFile(join(site.dataFolder, "storage/persistence", tenant))).toBe(false);
    expect((await readdir(join(site.dataFolder, "logs"))).length).toBe(logFolders - 2);
    expect((await berth.request("GET", path)).status).toBe(404);
    expect((await berth.request("GET", path, { key: keys.tenant })).status).toBe(401);
    expect(await list(`${path}/installations`)).toEqual([]);
    expect(await list(`/v1/keys?tenant_id=${tenant}`)).toMatchObject([{ state: "revoked" }]);
    expect(await list("/v1/tenants")).toMatchObject([{ id: neighbour }]);
  });

  test("another tenant keeps its container, its storage and its key, and its plugin answers", async () => {
    expect((await containersOf(neighbour)).map(({ id }) => id)).toEqual(neighbours);
    expect(await hasFile(join(site.dataFolder, "storage/persistence", neighbour, plugins[0].pluginId))).toBe(
      true,
    );
    const key = keys.neighbour;
    expect(await berth.json(200, "GET", `/v1/tenants/${neighbour}`, { key })).toMatchObject({
      keys: 1,
      runtimes_running: 1,
      installations: { total: 1, ready: 1 },
    });
    await keep(neighbour, plugins[0]);
  });

  test("a removed tenant can install again, without any of its former data", async () => {
    await install(berth, plugins[0], tenant);
    expect(await berth.json(200, "GET", path)).toMatchObject({
      keys: 0,
      packages_uploaded: 0,
      usage: { storage_bytes: 0 },
    });
  });
});
