/**
 * Berth in the place of a dify-plugin-daemon: its database and its folder, as it left them. Everything is listed at
 * once, is built in order of need, and is built once, whenever Berth is killed.
 */
import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { DEFAULT_READ_OPTIONS, readPackage } from "../../src/packages/read-package.ts";
import {
  aTenant,
  eventually,
  getInstallation,
  type InstallationJson,
  type PackedPlugin,
  packPlugin,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import {
  type DaemonPackage,
  daemonTables,
  declarationRow,
  endpointRow,
  installationRows,
  installTaskRow,
  pluginRow,
} from "../harness/samples/daemon-database.ts";

const DIFY_KEY = "a key of the platform";
const [one, two, three] = [aTenant(), aTenant(), aTenant()];
const daemonTask = randomUUID();

const Listed = z.object({ data: z.object({ list: z.array(z.object({ id: z.string() })) }) });

interface Progress {
  readonly total: number;
  readonly ready: number;
  readonly failed: number;
}

const packNamed = (name: string): Promise<PackedPlugin> =>
  packPlugin("echo", {
    "manifest.yaml": (text) => text.replace("name: echo", `name: ${name}`),
    "provider/echo.yaml": (text) => text.replace("name: echo", `name: ${name}`),
    // takes its time: what is called meanwhile must not wait for it
    "main.py": (text) =>
      name === "middle" ? text.replace("import sys", "import sys, time; time.sleep(6)") : text,
  });

describe("a daemon's database and folder", () => {
  let site: Site;
  let berth: BerthProcess;
  /** All have the first; the last two are one tenant's each, and nobody has kept the bytes of the lost one. */
  let plugins: { common: PackedPlugin; middle: PackedPlugin; zebra: PackedPlugin; lost: PackedPlugin };
  let had: { id: string; tenant: string; plugin: PackedPlugin }[];
  let before: unknown;

  beforeAll(async () => {
    // what a daemon had let in goes on, whatever is asked of what comes
    const env = { BERTH_DIFY_KEY: DIFY_KEY, BERTH_BUILDS_MAX: "2", BERTH_SIGNATURE_POLICY: "require" };
    site = await openSite({ isUntouched: true, env });
    const [common, middle, zebra, lost] = await Promise.all(
      ["aaa", "middle", "zebra", "lost"].map(packNamed),
    );
    if (!common || !middle || !zebra || !lost) throw new Error("a plugin was not packed");
    plugins = { common, middle, zebra, lost };
    had = [
      ...[one, two, three].map((tenant) => ({ id: randomUUID(), tenant, plugin: common })),
      { id: randomUUID(), tenant: one, plugin: middle },
      { id: randomUUID(), tenant: three, plugin: zebra },
      { id: randomUUID(), tenant: two, plugin: lost },
    ];
    await leaveAsDaemon();
    before = await daemonRows();
    berth = await site.start();
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  /** Fills database and folder as that daemon would have. */
  async function leaveAsDaemon(): Promise<void> {
    const kept: DaemonPackage[] = [];
    for (const { identifier, pluginId, bytes } of Object.values(plugins)) {
      const path = join(site.dataFolder, "storage/plugin_packages", identifier);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
      const { declaration } = await readPackage(path, new Date(0), DEFAULT_READ_OPTIONS);
      const kinds = [{ table: "tool_installations", provider: pluginId.slice(pluginId.indexOf("/") + 1) }];
      kept.push({ identifier, pluginId, declaration, kinds });
      if (identifier === plugins.lost.identifier) await writeFile(path, "cut off");
    }
    const rows = had.flatMap(({ id, tenant, plugin }) => {
      const pkg = kept.find(({ identifier }) => identifier === plugin.identifier);
      return pkg === undefined ? [] : installationRows({ id, tenant, pkg });
    });
    const refers = (identifier: string) =>
      had.filter(({ plugin }) => plugin.identifier === identifier).length;
    await site.rows(
      [
        ...(await daemonTables("older")),
        ...kept.flatMap((pkg) => [declarationRow(pkg), pluginRow(pkg, refers(pkg.identifier))]),
        ...rows,
        endpointRow(one, plugins.common.pluginId, { hookId: "hook", enabled: true }),
        `UPDATE plugin_installations SET endpoints_setups = 1, endpoints_active = 1 WHERE id = '${had[0]?.id}'`,
        installTaskRow(one, { id: daemonTask, status: "running", items: [{ status: "running" }] }),
      ].join(";\n"),
    );
  }

  const daemonRows = () =>
    site.rows(
      `SELECT i.*, p.refers, d.declaration, t.id AS tool, e.hook_id FROM plugin_installations i
        JOIN plugins p USING (plugin_unique_identifier) JOIN plugin_declarations d USING (plugin_unique_identifier)
        JOIN tool_installations t ON t.tenant_id = i.tenant_id AND t.plugin_id = i.plugin_id
        LEFT JOIN endpoints e ON e.tenant_id = i.tenant_id::text AND e.plugin_id = i.plugin_id ORDER BY i.id`,
    );
  const idsOf = (tenant: string) =>
    had
      .filter((it) => it.tenant === tenant)
      .map(({ id }) => id)
      .toSorted();
  const ask = (tenant: string, { pluginId }: PackedPlugin, text: string) =>
    toolTexts(berth, { tenant, pluginId, tool: "echo", parameters: { text } });
  const progress = () => berth.json<Progress & Record<string, unknown>>(200, "GET", "/v1/takeover");
  const lines = (op: string) => berth.log.filter((line) => line["op"] === op);
  const endedAt = async (identifier: string) => {
    const [row] = await site.rows(
      `SELECT max(finished_at) AS at FROM berth_tasks WHERE identifier = '${identifier}' AND state = 'ready'`,
    );
    return row?.["at"] instanceof Date ? row["at"].getTime() : Number.NaN;
  };

  async function expectAllListed(): Promise<void> {
    for (const tenant of [one, two, three]) {
      const { items } = await berth.json<{ items: InstallationJson[] }>(
        200,
        "GET",
        `/v1/tenants/${tenant}/installations`,
      );
      expect(items.map(({ id }) => id).toSorted()).toEqual(idsOf(tenant));
      const answer = await fetch(
        new URL(`/plugin/${tenant}/management/list?page=1&page_size=100`, berth.url),
        {
          headers: { "x-api-key": DIFY_KEY },
        },
      );
      const { data } = Listed.parse(await answer.json());
      expect(data.list.map(({ id }) => id).toSorted()).toEqual(idsOf(tenant));
    }
  }

  test("are listed completely at once, and again after a kill", async () => {
    await expectAllListed();
    expect(lines("takeover.adopt")).toMatchObject([{ installations: had.length, countsMended: 0 }]);
    expect(await progress()).toMatchObject({ total: had.length });
    await berth.kill("SIGKILL");
    berth = await site.start();
    await expectAllListed();
    expect(lines("takeover.adopt")).toEqual([]);
  });

  test("let the last plugin in the queue answer a call before the others are built", async () => {
    expect(await ask(three, plugins.zebra, "first")).toEqual(["first"]);
    await berth.kill("SIGKILL");
    berth = await site.start();
    // what serves already is called while the others are built
    expect(await ask(three, plugins.zebra, "still")).toEqual(["still"]);
    expect(await ask(one, plugins.middle, "then")).toEqual(["then"]);
    expect(await endedAt(plugins.zebra.identifier)).toBeLessThan(await endedAt(plugins.middle.identifier));
  });

  test("become ready with one image for each package, and leave the daemon's rows unchanged", async () => {
    await eventually(async () => ((await progress()).ready === had.length - 1 ? true : undefined));
    for (const tenant of [one, two, three])
      expect(await ask(tenant, plugins.common, tenant)).toEqual([tenant]);
    expect(await site.images()).toHaveLength(3);
    expect(await daemonRows()).toEqual(before);
    const tasks = await site.rows(`SELECT status FROM install_tasks WHERE id = '${daemonTask}'`);
    expect(tasks).toEqual([{ status: "failed" }]);
  });

  test("report a damaged package as package_damaged, and have it installed once it is uploaded", async () => {
    const lost = had.find(({ plugin }) => plugin === plugins.lost);
    const installation = { tenant: two, taskId: "", installationId: lost?.id ?? "" };
    expect(await getInstallation(berth, installation)).toMatchObject({
      state: "failed",
      cause: { code: "package_damaged", details: { value: plugins.lost.identifier } },
    });
    const checksum = plugins.lost.identifier.slice(plugins.lost.identifier.indexOf("@") + 1);
    await berth.json(201, "POST", "/v1/trust/admissions", { body: { checksum, note: "it was there" } });
    await upload(berth, plugins.lost);
    await eventually(async () =>
      (await getInstallation(berth, installation)).state === "ready" ? true : undefined,
    );
    expect(await ask(two, plugins.lost, "found")).toEqual(["found"]);
    expect(await daemonRows()).toEqual(before);
  });

  test("are not taken over again by the next start", async () => {
    const count = () => site.rows("SELECT count(*)::int AS n FROM berth_tasks");
    const [tasks, images] = [await count(), await site.images()];
    await berth.kill("SIGTERM");
    berth = await site.start();
    expect(await ask(one, plugins.common, "again")).toEqual(["again"]);
    expect(berth.log.filter(({ op }) => String(op).startsWith("takeover."))).toEqual([]);
    expect(await count()).toEqual(tasks);
    const idsOfImages = (found: typeof images) => found.map(({ id }) => id).toSorted();
    expect(idsOfImages(await site.images())).toEqual(idsOfImages(images));
  });
});
