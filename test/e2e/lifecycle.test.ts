/** The life of an installation on both databases: what is there after each turn, on the engine, in rows and in answers. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AcceptedInstall,
  accept,
  askTool,
  aTenant,
  eventually,
  follow,
  getInstallation,
  install,
  type PackedPlugin,
  packPlugin,
  packVersion,
  toolTexts,
  uninstall,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, SITES, type Site } from "../harness/rigs/site.ts";

describe.each(SITES)("on $database", ({ database }) => {
  let site: Site;
  let berth: BerthProcess;
  let echo: PackedPlugin;
  beforeAll(async () => {
    site = await openSite({ database });
    berth = await site.start();
    echo = await packPlugin("echo");
    await upload(berth, echo);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const ask = (tenant: string, parameters: object = { text: "aye" }, plugin = echo) =>
    toolTexts(berth, { tenant, pluginId: plugin.pluginId, tool: "echo", parameters: { ...parameters } });

  test("an installation answers from its own container; an uninstall removes both and keeps the image", async () => {
    const installed = await install(berth, echo);
    expect(await ask(installed.tenant, { text: "aye", messages: 3 })).toEqual(["aye", "aye", "aye"]);
    const mine = (await site.containers()).filter(
      ({ labels }) => labels["berth.tenant"] === installed.tenant,
    );
    expect(mine).toMatchObject([{ phase: "running" }]);

    await uninstall(berth, installed);
    const left = (await site.containers()).filter(
      ({ labels }) => labels["berth.tenant"] === installed.tenant,
    );
    expect(left).toEqual([]);
    expect(await site.images()).toHaveLength(1);
    const gone = await askTool(berth, { tenant: installed.tenant, pluginId: echo.pluginId, tool: "echo" });
    expect(gone.status).toBe(404);
    expect(await gone.json()).toMatchObject({ error: { code: "installation_not_found" } });
    const path = `/v1/tenants/${installed.tenant}/installations`;
    expect((await berth.request("GET", `${path}/${installed.installationId}`)).status).toBe(404);
    expect(await berth.json(200, "GET", path)).toMatchObject({ items: [] });
  });

  test("two equal requests create one installation and one task; an Idempotency-Key with another body is refused", async () => {
    const tenant = aTenant();
    const path = `/v1/tenants/${tenant}/installations`;
    const body = { identifier: echo.identifier };
    const headers = { "idempotency-key": randomUUID() };
    const first = await berth.json<Answer>(202, "POST", path, { body, headers });
    const second = await berth.json<Answer>(202, "POST", path, { body, headers });
    expect([second.task.id, second.installation.id]).toEqual([first.task.id, first.installation.id]);
    const plain = await berth.json<Answer>(202, "POST", path, { body });
    expect(plain).toMatchObject({ task: { id: first.task.id }, created: false });
    const other = await packVersion("echo", "0.9.9");
    await upload(berth, other);
    const conflicting = await berth.request("POST", path, {
      body: { identifier: other.identifier },
      headers,
    });
    expect([conflicting.status, (await errorJson(conflicting)).code]).toEqual([409, "idempotency_mismatch"]);
    await follow(berth, { tenant, taskId: first.task.id });
    expect((await berth.json<Answer>(202, "POST", path, { body })).task.id).toBe(first.task.id);
  });

  test("ten tenants that install at once share one build and get ten containers", async () => {
    const plugin = await packVersion("echo", "1.0.0");
    await upload(berth, plugin);
    const before = { images: await site.images(), containers: await site.containers() };
    const accepted = await Promise.all(Array.from({ length: 10 }, () => accept(berth, plugin)));
    const histories = await Promise.all(accepted.map((one) => follow(berth, one)));
    expect(histories.map((events) => events.at(-1)).filter((end) => end?.state !== "ready")).toEqual([]);
    const said = histories.flat().map(({ message }) => message);
    expect(said.filter((message) => message === "adding the files of the package")).toHaveLength(1);
    expect(said.filter((message) => message === "the image is built")).toHaveLength(1);
    expect(said.filter((message) => message === "the image was there already")).toHaveLength(9);
    expect(await site.images()).toHaveLength(before.images.length + 1);
    const tenants = (await site.containers()).map(({ labels }) => labels["berth.tenant"]);
    expect(accepted.map(({ tenant }) => tenants.filter((one) => one === tenant).length)).toEqual(
      Array(10).fill(1),
    );
    const answers = await Promise.all(accepted.map(({ tenant }) => ask(tenant, { text: tenant }, plugin)));
    expect(answers).toEqual(accepted.map(({ tenant }) => [tenant]));
    await Promise.all(accepted.map((one) => uninstall(berth, one)));
    expect(await site.containers()).toHaveLength(before.containers.length);
  });

  test("a second tenant that installs a built package does not wait for a build", async () => {
    await install(berth, echo);
    const second = await accept(berth, echo);
    const events = await follow(berth, second);
    expect(events.at(-1)).toMatchObject({ state: "ready" });
    const said = events.filter(({ step, type }) => step === "building" && type === "progress");
    expect(said.map(({ message }) => message)).toEqual(["the image was there already"]);
  });

  test("what a plugin prints outside the protocol appears only in the log of its own installation", async () => {
    const [one, other] = [await install(berth, echo), await install(berth, echo)];
    const mark = `stray-${randomUUID()}`;
    expect(await ask(one.tenant, { text: "aye", print: mark, stderr: `${mark}-err` })).toEqual(["aye"]);
    const lines = await eventually(async () => {
      const found = (await logsOf(one)).filter(({ text }) => text.includes(mark));
      return found.length >= 2 ? found : undefined;
    });
    expect(lines.map(({ text }) => text).sort()).toEqual([
      expect.stringContaining(mark),
      expect.stringContaining(`${mark}-err`),
    ]);
    expect((await logsOf(other)).filter(({ text }) => text.includes(mark))).toEqual([]);
  });

  test("a followed log returns lines as they are printed", async () => {
    const { tenant, installationId } = await install(berth, echo);
    const mark = `followed-${randomUUID()}`;
    const stop = new AbortController();
    const path = `/v1/tenants/${tenant}/installations/${installationId}/logs?follow=true`;
    const lines = berth.events(path, { signal: stop.signal });
    const first = lines.next();
    await ask(tenant, { print: mark });
    for (let event = await first; ; event = await lines.next()) {
      expect(event.done).toBe(false);
      if ((event.value as { data: { text: string } }).data.text.includes(mark)) break;
    }
    stop.abort();
    await expect(lines.next()).rejects.toThrow(/abort/i);
  });

  test("a tenant's key gives access only to its own tenant, until it is revoked", async () => {
    const installed = await install(berth, echo);
    const [mine, theirs] = [installed.tenant, aTenant()];
    const made = await berth.json<{ id: string; key: string }>(201, "POST", "/v1/keys", {
      body: { name: "mine", tenant_id: mine },
    });
    const { key } = made;
    expect((await berth.request("GET", `/v1/tenants/${mine}/installations`, { key })).status).toBe(200);
    const path = `/v1/tenants/${mine}/plugins/${echo.pluginId}/invoke_tool`;
    const body = { user_id: "u", provider: "echo", tool_name: "echo", tool_parameters: {} };
    expect((await berth.request("POST", path, { key, body })).status).toBe(200);
    for (const refused of [
      await berth.request("GET", `/v1/tenants/${theirs}/installations`, { key }),
      await berth.request("POST", path.replace(mine, theirs), { key, body }),
      await berth.request("GET", "/v1/keys", { key }),
    ]) {
      expect([refused.status, (await errorJson(refused)).code]).toEqual([403, "forbidden"]);
    }
    await berth.json(200, "DELETE", `/v1/keys/${made.id}`);
    const after = await berth.request("POST", path, { key, body });
    expect([after.status, (await errorJson(after)).code]).toEqual([401, "unauthorized"]);
  });

  if (database === "postgres") {
    test("the daemon's tables contain an installation until it is uninstalled", async () => {
      const plugin = await packVersion("echo", "2.0.0");
      const installed = await install(berth, plugin);
      const { tenant } = installed;
      const rows = (table: string) =>
        site.rows(`SELECT * FROM ${table} WHERE plugin_unique_identifier = '${plugin.identifier}'`);
      expect(await rows("plugin_installations")).toMatchObject([
        { tenant_id: tenant, plugin_id: plugin.pluginId, runtime_type: "local", endpoints_setups: "0" },
      ]);
      expect(await rows("plugins")).toMatchObject([
        { plugin_id: plugin.pluginId, refers: "1", install_type: "local" },
      ]);
      expect(await rows("tool_installations")).toMatchObject([{ tenant_id: tenant, provider: "echo" }]);
      const [declared] = await rows("plugin_declarations");
      expect(JSON.parse(String(declared?.["declaration"]))).toMatchObject({ name: "echo", version: "2.0.0" });

      await uninstall(berth, installed);
      for (const table of ["plugin_installations", "plugins", "tool_installations"]) {
        expect(await rows(table), table).toEqual([]);
      }
    });
  }

  test("serve exits with code 0 on SIGTERM; plugins keep running, and the next serve answers from the same containers", async () => {
    const { tenant } = await install(berth, echo);
    const before = await site.containers();
    expect(await berth.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    expect(await site.redisPids()).toEqual([]);
    expect((await site.containers()).every(({ phase }) => phase === "running")).toBe(true);
    berth = await site.start();
    expect(await ask(tenant)).toEqual(["aye"]);
    expect(ids(await site.containers())).toEqual(ids(before));
    expect(await getInstallation(berth, await install(berth, echo, tenant))).toMatchObject({
      state: "ready",
    });
  });

  async function logsOf({ tenant, installationId }: AcceptedInstall): Promise<readonly { text: string }[]> {
    const path = `/v1/tenants/${tenant}/installations/${installationId}/logs`;
    return (await berth.json<{ items: { text: string }[] }>(200, "GET", path)).items;
  }
});

interface Answer {
  readonly created: boolean;
  readonly task: { readonly id: string };
  readonly installation: { readonly id: string };
}

async function errorJson(response: Response): Promise<{ code: string }> {
  return ((await response.json()) as { error: { code: string } }).error;
}

function ids(containers: readonly { readonly id: string }[]): string[] {
  return containers.map(({ id }) => id).sort();
}
