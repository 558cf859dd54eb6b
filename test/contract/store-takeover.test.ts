/** What a daemon had installed becomes Berth's: once, whole, and in order of need; on both databases. */
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InstallationId, TenantId } from "../../src/domain/ids.ts";
import type { Package } from "../../src/domain/package.ts";
import type { Store } from "../../src/store/store.ts";
import {
  CATALOGUES,
  type DaemonInstallation,
  daemonTables,
  declarationRow,
  endpointRow,
  installationRows,
  installTaskRow,
  pluginRow,
  speak,
} from "../harness/daemon-database.ts";
import { DATABASES, type TestDatabase } from "../harness/stores.ts";
import { aPackage, LIMITS } from "../harness/tenant-rows.ts";

const KINDS = [{ table: "tool_installations", provider: "clock" }];
const GRANTED = { limitsAsked: { memoryIsHard: false }, limits: LIMITS, warnings: ["a warning"] };
const CAUSE = { code: "package_not_found", message: "upload it" } as const;

/** In order, so that a page's order is known. */
const installationId = (place: number) =>
  InstallationId.parse(`00000000-0000-7000-8000-${String(place).padStart(12, "0")}`);

describe.each(DATABASES)("taking over, on $name", ({ create }) => {
  let database: TestDatabase;
  let store: Store;
  let had: DaemonInstallation[];
  const tenants = Array.from({ length: 3 }, () => TenantId.parse(randomUUID()));
  const [one, two, three] = tenants as [TenantId, TenantId, TenantId];

  beforeEach(async () => {
    database = await create();
    had = [];
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  function has(tenant: string, pkg: Package, more: Partial<DaemonInstallation> = {}): DaemonInstallation {
    const made = { id: installationId(had.length + 1), tenant, pkg: { ...pkg, kinds: KINDS }, ...more };
    had.push(made);
    return made;
  }

  async function open(...statements: readonly string[]): Promise<void> {
    const tables = await daemonTables("current");
    const packages = new Map(had.map(({ pkg }) => [pkg.identifier, pkg]));
    await speak(database, [
      ...tables,
      ...[...packages.values()].flatMap((pkg) => [
        declarationRow({ ...pkg, declaration: { as: "stored" } }),
        pluginRow(pkg, had.filter((it) => it.pkg.identifier === pkg.identifier).length),
      ]),
      ...had.flatMap(installationRows),
      ...statements,
    ]);
    store = await database.open();
  }

  const page = (after?: string) => store.takeover.adopt({ after, limit: 2, limits: LIMITS });

  async function adoptAll(): Promise<number> {
    let [installations, last] = [0, undefined as string | undefined];
    do {
      const adopted = await page(last);
      installations += adopted.installations;
      last = adopted.last;
    } while (last !== undefined);
    return installations;
  }

  async function look(sql: string) {
    await store[Symbol.asyncDispose]();
    const rows = await speak(database, [sql]);
    store = await database.open();
    return rows;
  }

  const ROWS = `SELECT i.id::text, i.plugin_unique_identifier, i.source, i.meta, p.refers::text, d.declaration,
      (SELECT count(*)::text FROM tool_installations t WHERE t.tenant_id = i.tenant_id AND t.plugin_id = i.plugin_id) AS tools
    FROM plugin_installations i LEFT JOIN plugins p USING (plugin_unique_identifier)
    LEFT JOIN plugin_declarations d USING (plugin_unique_identifier) ORDER BY i.id`;

  it.each(CATALOGUES)("gives each its Installation, in a database of the %s catalogue", async (age) => {
    const pkg = { ...aPackage(), kinds: KINDS };
    const id = installationId(1);
    await speak(database, [
      ...(await daemonTables(age)),
      declarationRow({ ...pkg, declaration: {} }),
      pluginRow(pkg, 1),
      ...installationRows({ id, tenant: one, pkg, source: "github", meta: '{"repo":"a/b"}' }),
    ]);
    store = await database.open();
    expect(await page()).toMatchObject({
      installations: 1,
      countsMended: 0,
      endpointCountsMended: 0,
      last: id,
    });
    expect(await store.installations.find(id)).toMatchObject({
      ...{ id, tenantId: one, pluginId: pkg.pluginId, identifier: pkg.identifier, generation: 1 },
      ...{
        desired: "enabled",
        state: "installing",
        source: "github",
        meta: { repo: "a/b" },
        limitsGranted: LIMITS,
      },
      createdAt: new Date("2026-03-01T12:00:00.123Z"),
    });
    const list = await store.installed.list({ tenantId: one }, { limit: 10, declarationBytesMax: 0 });
    expect(list.items).toHaveLength(1);
  });

  it("happens once, however many start and however often", async () => {
    for (const tenant of tenants) for (const pkg of [aPackage(), aPackage()]) has(tenant, pkg);
    await open();
    // an embedded database is one session: there they follow each other
    const counts = await Promise.all([adoptAll(), adoptAll(), adoptAll()]);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(had.length);
    expect(await adoptAll()).toBe(0);
    for (const { id, tenant } of had) {
      const tasks = await store.tasks.list(
        { tenantId: TenantId.parse(tenant), installationId: InstallationId.parse(id) },
        { limit: 10 },
      );
      expect(tasks.items).toMatchObject([{ kind: "install", state: "queued" }]);
      expect(await store.tasks.events(tasks.items[0]?.id ?? fail(), 0)).toMatchObject([
        { type: "step", step: "queued", seq: 1 },
      ]);
    }
    expect((await store.events.list({ kind: "installation.adopt" }, { limit: 100 })).items).toHaveLength(6);
  });

  it("makes nothing of what runs elsewhere, says whose it is not, and counts it", async () => {
    has(one, aPackage(), { runtime: "remote", source: "remote" });
    has(two, aPackage(), { runtime: "serverless" });
    const mine = has(three, aPackage(), { runtime: "" });
    await open(
      `INSERT INTO plugin_installations (id, plugin_id, plugin_unique_identifier, runtime_type)
        VALUES ('${randomUUID()}', 'acme/lost', 'acme/lost:0.0.1@${"a".repeat(64)}', 'local')`,
    );
    expect(await adoptAll()).toBe(1);
    expect(await store.installations.find(installationId(1))).toBeUndefined();
    expect(await store.installations.find(InstallationId.parse(mine.id))).toBeDefined();
    expect(await store.takeover.leftAlone()).toEqual({
      runtimes: { remote: 1, serverless: 1 },
      incomplete: 1,
      withoutDeclaration: 1,
    });
  });

  it("mends counts that are wrong, negative or missing, and no others", async () => {
    const [wrong, missing] = [aPackage(), aPackage()];
    for (const tenant of tenants) has(tenant, wrong);
    has(one, missing, { meta: "no JSON", source: "" });
    await open(
      `UPDATE plugins SET refers = -2 WHERE plugin_unique_identifier = '${wrong.identifier}'`,
      `DELETE FROM plugins WHERE plugin_unique_identifier = '${missing.identifier}'`,
      `UPDATE plugin_installations SET endpoints_setups = -1, endpoints_active = -1 WHERE tenant_id = '${one}'
        AND plugin_id = '${wrong.pluginId}'`,
      endpointRow(one, wrong.pluginId, { hookId: "on", enabled: true }),
      endpointRow(one, wrong.pluginId, { hookId: "off", enabled: false }),
    );
    const adopted = await store.takeover.adopt({ after: undefined, limit: 100, limits: LIMITS });
    expect(adopted).toMatchObject({ installations: 4, countsMended: 2, endpointCountsMended: 1 });
    expect(await store.installations.find(installationId(4))).toMatchObject({ source: "package", meta: {} });
    const rows = await look(
      `SELECT p.refers::text, i.endpoints_setups::text, i.endpoints_active::text FROM plugin_installations i
        JOIN plugins p USING (plugin_unique_identifier) ORDER BY i.id`,
    );
    expect(rows.map((row) => Object.values(row))).toEqual([
      ["3", "2", "1"],
      ["3", "0", "0"],
      ["3", "0", "0"],
      ["1", "0", "0"],
    ]);
  });

  it("changes no row of the daemon where an adopted one becomes ready", async () => {
    const pkg = aPackage();
    has(one, pkg);
    has(two, pkg);
    await open();
    await adoptAll();
    const before = await look(ROWS);
    await store.takeover.keepPackage(pkg, GRANTED);
    const [first] = await store.takeover.handOut({ neededMax: 1, othersMax: 1 });
    const claimed = await store.tasks.claim(first?.id ?? fail(), "worker", 60_000);
    await store.installations.publishReady(claimed?.id ?? fail(), claimed?.attempt ?? 0);
    expect(await look(ROWS)).toEqual(before);
    expect(await store.installations.find(installationId(1))).toMatchObject({
      state: "ready",
      warnings: ["a warning"],
    });
    expect(await store.takeover.progress()).toMatchObject({
      total: 2,
      waiting: 1,
      building: 0,
      ready: 1,
      failed: 0,
    });
  });

  it("hands nothing out by itself, then the needed before those that many Tenants have", async () => {
    const [rare, common, last] = [aPackage(), aPackage(), aPackage()];
    has(one, rare);
    for (const tenant of [one, two]) has(tenant, common);
    has(three, last);
    await open();
    await adoptAll();
    expect(await store.takeover.unread(10)).toEqual([
      common.identifier,
      ...[rare.identifier, last.identifier].toSorted(),
    ]);
    // a package is read before its turn to be built can come
    expect(await store.takeover.handOut({ neededMax: 9, othersMax: 9 })).toEqual([]);
    for (const pkg of [rare, common, last]) await store.takeover.keepPackage(pkg, GRANTED);
    expect(await store.tasks.listClaimable(10)).toEqual([]);

    const order: string[] = [];
    const bounds = { neededMax: 1, othersMax: 1 };
    const place = async (id: number) => await store.takeover.need(installationId(id));
    const next = async () => {
      for (const { id } of await store.takeover.handOut(bounds)) {
        const task = await store.tasks.find(id);
        order.push(task?.identifier ?? "");
      }
    };
    await next();
    expect(order).toEqual([common.identifier]);
    await next();
    expect(order).toHaveLength(1);
    expect(await place(4)).toEqual({ place: 2, of: 4 });
    await next();
    expect(order).toEqual([common.identifier, last.identifier]);
    expect(await place(4)).toEqual({ place: 2, of: 4 });
    expect(await store.tasks.listClaimable(10)).toHaveLength(2);
    expect(await store.takeover.progress()).toMatchObject({ total: 4, unread: 0, waiting: 2, building: 2 });
  });

  it("ends as failed what has no package, by a cause, and finds it again when that has come", async () => {
    const pkg = aPackage();
    has(one, pkg);
    has(two, pkg);
    await open();
    await adoptAll();
    expect(await store.takeover.fail(pkg.identifier, CAUSE)).toBe(2);
    expect(await store.takeover.fail(pkg.identifier, CAUSE)).toBe(0);
    expect(await store.installations.find(installationId(1))).toMatchObject({
      state: "failed",
      cause: CAUSE,
    });
    expect(await store.takeover.need(installationId(1))).toBeUndefined();
    expect(await store.takeover.arrived(10)).toEqual([]);
    await store.packages.put(pkg, {});
    expect(await store.takeover.arrived(10)).toMatchObject([
      { installationId: installationId(1), tenantId: one, identifier: pkg.identifier },
      { installationId: installationId(2), tenantId: two },
    ]);
  });

  it("leaves nothing behind where a waiting one is uninstalled", async () => {
    const pkg = aPackage();
    const { id } = has(one, pkg);
    await open();
    await adoptAll();
    const { task } = await store.installations.acceptUninstall(InstallationId.parse(id));
    const claimed = await store.tasks.claim(task.id, "worker", 60_000);
    await store.installations.publishRemoved(task.id, claimed?.attempt ?? 0);
    expect(await adoptAll()).toBe(0);
    expect(await store.takeover.unread(10)).toEqual([]);
    expect(await store.takeover.progress()).toMatchObject({ total: 0 });
    expect(await look(ROWS)).toEqual([]);
  });

  it("ends tasks that a daemon left running, and none of Berth's", async () => {
    const [left, ours] = [randomUUID(), randomUUID()];
    const items = [
      { plugin_id: "acme/a", status: "success", message: "installed" },
      { plugin_id: "acme/b", status: "running", message: "starting" },
    ];
    await open(
      installTaskRow(one, { id: left, status: "running", items }),
      installTaskRow(one, { id: randomUUID(), status: "failed", items }),
    );
    await look(
      `INSERT INTO berth_tasks (id, kind, tenant_id, state) VALUES ('${ours}', 'batch', '${one}', 'queued') RETURNING id`,
    );
    await look(`${installTaskRow(one, { id: ours, status: "running", items })} RETURNING id`);
    expect(await store.takeover.endDaemonTasks(10)).toBe(1);
    expect(await store.takeover.endDaemonTasks(10)).toBe(0);
    const rows = await look(`SELECT status, plugins FROM install_tasks WHERE id = '${left}'`);
    expect(rows).toMatchObject([{ status: "failed" }]);
    expect(JSON.parse(String(rows[0]?.["plugins"]))).toEqual([
      items[0],
      { plugin_id: "acme/b", status: "failed", message: "An unexpected daemon shutdown occurred" },
    ]);
    expect(await look(`SELECT status FROM install_tasks WHERE id = '${ours}'`)).toEqual([
      { status: "running" },
    ]);
  });
});

function fail(): never {
  throw new Error("it is not there");
}
