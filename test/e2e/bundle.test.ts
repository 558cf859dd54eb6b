/** A bundle of two plugins over the API: killed on the way, cancelled, and refused to be taken apart by nobody's force. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  aTenant,
  eventually,
  follow,
  type PackedPlugin,
  packPlugin,
  type TaskJson,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { ON_POSTGRES, openSite, type Site } from "../harness/rigs/site.ts";
import { zipOf } from "../support/test-zip.ts";

const packNamed = (name: string): Promise<PackedPlugin> =>
  packPlugin("echo", {
    "manifest.yaml": (text) => text.replace(/^name: .*/m, `name: ${name}`),
    "provider/echo.yaml": (text) => text.replace(/^( +)name: .*/m, `$1name: ${name}`),
  });

function bundleOf(plugins: readonly PackedPlugin[]): Buffer {
  const checksumOf = ({ identifier }: PackedPlugin) => identifier.slice(identifier.indexOf("@") + 1);
  const manifest = {
    type: "bundle",
    author: "berth-tests",
    name: "pair",
    version: "1.0.0",
    icon: "icon.svg",
    labels: { en_US: "Pair" },
    description: { en_US: "Two that belong together" },
    tags: [],
    dependencies: plugins.map((plugin) => ({ type: "package", value: { path: checksumOf(plugin) } })),
  };
  const assets = plugins.map((plugin) => [`_assets/${checksumOf(plugin)}`, plugin.bytes] as const);
  return zipOf({
    "manifest.yaml": JSON.stringify(manifest),
    "_assets/icon.svg": "<svg/>",
    ...Object.fromEntries(assets),
  });
}

interface TaskDetail extends TaskJson {
  readonly kind: string;
  readonly children: readonly (TaskJson & { readonly parent_id: string; readonly identifier: string })[];
}

describe.each(ON_POSTGRES)("on $database", ({ database }) => {
  let site: Site;
  let berth: BerthProcess;
  let plugins: readonly [PackedPlugin, PackedPlugin];
  let bundle: string;
  beforeAll(async () => {
    site = await openSite({ database });
    berth = await site.start();
    plugins = [await packNamed("left"), await packNamed("right")];
    const body = bundleOf(plugins);
    ({ identifier: bundle } = await berth.json<{ identifier: string }>(201, "POST", "/v1/bundles", { body }));
  });
  afterAll(() => site[Symbol.asyncDispose]());

  async function accept(tenant: string) {
    const answer = await berth.json<{ installation: null; task: TaskJson }>(
      202,
      "POST",
      `/v1/tenants/${tenant}/installations`,
      { body: { bundle } },
    );
    expect(answer.installation).toBeNull();
    return { tenant, taskId: answer.task.id };
  }
  const get = (tenant: string, id: string) =>
    berth.json<TaskDetail>(200, "GET", `/v1/tenants/${tenant}/tasks/${id}`);
  const installations = async (tenant: string) =>
    (await berth.json<{ items: readonly unknown[] }>(200, "GET", `/v1/tenants/${tenant}/installations`))
      .items;

  test("a bundle that is cancelled while it builds leaves no installation, no container and no build", async () => {
    const { tenant, taskId } = await accept(aTenant());
    await eventually(async () => ((await site.containers("build")).length > 0 ? true : undefined));
    await berth.json(202, "POST", `/v1/tenants/${tenant}/tasks/${taskId}/cancel`);
    const events = await follow(berth, { tenant, taskId });
    expect(events.at(-1)).toMatchObject({ type: "end", state: "cancelled", cause: { code: "cancelled" } });
    expect(await installations(tenant)).toEqual([]);
    expect(await site.containers()).toEqual([]);
    expect(await site.containers("build")).toEqual([]);
    const { children } = await get(tenant, taskId);
    expect(children.every(({ parent_id }) => parent_id === taskId)).toBe(true);
    await berth.json(202, "POST", `/v1/tenants/${tenant}/tasks/${taskId}/cancel`);
  });

  test("a bundle continues after Berth is killed during its builds, and both of its plugins answer", async () => {
    const { tenant, taskId } = await accept(aTenant());
    await eventually(async () => {
      const { children } = await get(tenant, taskId);
      return children.some(({ state }) => state === "building") ? true : undefined;
    });
    await berth.kill("SIGKILL");
    berth = await site.start();
    expect((await follow(berth, { tenant, taskId })).at(-1)).toMatchObject({ state: "ready" });
    const { children, kind } = await get(tenant, taskId);
    expect([kind, children.map(({ state }) => state)]).toEqual(["bundle", ["ready", "ready"]]);
    for (const { pluginId } of plugins)
      expect(await toolTexts(berth, { tenant, pluginId, tool: "echo", parameters: { text: "aye" } })).toEqual(
        ["aye"],
      );
    expect(await site.containers()).toHaveLength(2);
    const refused = await berth.request("POST", `/v1/tenants/${tenant}/tasks/${taskId}/cancel`);
    expect([refused.status, await refused.json()]).toMatchObject([409, { error: { code: "conflict" } }]);
  });
});
