/** Taking over a daemon's installations: once, completely, and the needed ones first; on both databases. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InstallationId, type TaskId } from "../../src/domain/ids.ts";
import type { Package } from "../../src/domain/package.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, type TestDatabase } from "../harness/rigs/stores.ts";
import {
  type DaemonInstallation,
  daemonTables,
  declarationRow,
  endpointRow,
  installationRows,
  installTaskRow,
  pluginRow,
  speak,
} from "../harness/samples/daemon-database.ts";
import { aPackage, aTenant, LIMITS } from "../harness/samples/tenant-rows.ts";

const KINDS = [{ table: "tool_installations", provider: "clock" }];
const GRANTED = { limitsAsked: { memoryIsHard: false }, limits: LIMITS, warnings: ["a warning"] };
const CAUSE = { code: "package_not_found", message: "upload it" } as const;
const ITEMS = [
  { plugin_id: "acme/a", status: "success", message: "installed" },
  { plugin_id: "acme/b", status: "running", message: "starting" },
];

/** The rows of a daemon, once for all tests: each has its own packages. */
function aDaemon() {
  const [one, two, three] = [aTenant(), aTenant(), aTenant()];
  const had: DaemonInstallation[] = [];
  const has = (tenant: string, pkg: Package, more: Partial<DaemonInstallation> = {}) => {
    const id = randomUUID();
    had.push({ id, tenant, pkg: { ...pkg, kinds: KINDS }, ...more });
    return InstallationId.parse(id);
  };
  // what many have is the last by its name: nothing but their number brings it to the front
  const named = ["rare", "last", "zz"].map((name) => ({ ...aPackage(), ...identified(name) }));
  const [rare = aPackage(), last = aPackage(), common = aPackage()] = named;
  const pkgs = {
    wrong: aPackage(),
    uncounted: aPackage(),
    published: aPackage(),
    rare,
    common,
    last,
    lost: aPackage(),
    gone: aPackage(),
  };
  const meta = '{"repo":"a/b"}';
  const ids = {
    wrong: [one, two, three].map((tenant) => has(tenant, pkgs.wrong, { source: "github", meta })),
    uncounted: has(one, pkgs.uncounted, { meta: "no JSON", source: "" }),
    published: [one, two].map((tenant) => has(tenant, pkgs.published)),
    rare: has(one, pkgs.rare),
    common: [one, two].map((tenant) => has(tenant, pkgs.common)),
    last: has(three, pkgs.last),
    lost: [one, two].map((tenant) => has(tenant, pkgs.lost)),
    gone: has(three, pkgs.gone, { runtime: "" }),
  };
  const ours = had.length;
  const elsewhere = [
    has(one, aPackage(), { runtime: "remote", source: "remote" }),
    has(two, aPackage(), { runtime: "serverless" }),
  ];
  const left = randomUUID();
  const rows = [
    ...[...new Map(had.map(({ pkg }) => [pkg.identifier, pkg])).values()].flatMap((pkg) => [
      declarationRow({ ...pkg, declaration: { as: "stored" } }),
      pluginRow(pkg, had.filter((it) => it.pkg.identifier === pkg.identifier).length),
    ]),
    ...had.flatMap(installationRows),
    `UPDATE plugins SET refers = -2 WHERE plugin_unique_identifier = '${pkgs.wrong.identifier}'`,
    `DELETE FROM plugins WHERE plugin_unique_identifier = '${pkgs.uncounted.identifier}'`,
    `UPDATE plugin_installations SET endpoints_setups = -1, endpoints_active = -1 WHERE id = '${ids.wrong[0]}'`,
    endpointRow(one, pkgs.wrong.pluginId, { hookId: "on", enabled: true }),
    endpointRow(one, pkgs.wrong.pluginId, { hookId: "off", enabled: false }),
    `INSERT INTO plugin_installations (id, plugin_id, plugin_unique_identifier, runtime_type)
      VALUES ('${randomUUID()}', 'acme/nobody', 'acme/nobody:0.0.1@${"a".repeat(64)}', 'local')`,
    installTaskRow(one, { id: left, status: "running", items: ITEMS }),
    installTaskRow(one, { id: randomUUID(), status: "failed", items: ITEMS }),
  ];
  return { one, two, three, pkgs, ids, ours, elsewhere, left, rows };
}

describe.each(DATABASES)("a takeover on $name", ({ empty }) => {
  const daemon = aDaemon();
  const { pkgs, ids, one } = daemon;
  let database: TestDatabase;
  let store: Store;

  beforeAll(async () => {
    database = await empty();
    await speak(database, [...(await daemonTables("older")), ...daemon.rows, "SELECT 1"]);
    store = await database.open();
  });
  afterAll(async () => {
    await store[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  async function adoptAll() {
    const sums = { installations: 0, countsMended: 0, endpointCountsMended: 0 };
    for (let after: string | undefined; ; ) {
      const page = await store.takeover.adopt({ after, limit: 2, limits: LIMITS });
      sums.installations += page.installations;
      sums.countsMended += page.countsMended;
      sums.endpointCountsMended += page.endpointCountsMended;
      if (page.last === undefined) return sums;
      after = page.last;
    }
  }

  /** Asks as another program would: an embedded database has one opener. */
  async function look(...statements: readonly string[]) {
    await store[Symbol.asyncDispose]();
    const rows = await speak(database, statements);
    store = await database.open();
    return rows;
  }
  it("adopts each installation once, however many processes start", async () => {
    // an embedded database is one session: there they follow each other
    const sums = await Promise.all([adoptAll(), adoptAll(), adoptAll()]);
    const sum = (key: keyof (typeof sums)[number]) => sums.reduce((total, one) => total + one[key], 0);
    expect(sum("installations")).toBe(daemon.ours);
    expect([sum("countsMended"), sum("endpointCountsMended")]).toEqual([2, 1]);
    expect(await adoptAll()).toEqual({ installations: 0, countsMended: 0, endpointCountsMended: 0 });
    const id = ids.wrong[0] ?? missing();
    expect(await store.installations.find(id)).toMatchObject({
      id,
      tenantId: one,
      pluginId: pkgs.wrong.pluginId,
      identifier: pkgs.wrong.identifier,
      generation: 1,
      desired: "enabled",
      state: "installing",
      source: "github",
      meta: { repo: "a/b" },
      limitsGranted: LIMITS,
      createdAt: new Date("2026-03-01T12:00:00.123Z"),
    });
    const page = { limit: 100, declarationBytesMax: 0 };
    expect((await store.installed.list({ tenantId: one }, page)).items).toHaveLength(6);
    expect((await store.events.list({ kind: "installation.adopt" }, page)).items).toHaveLength(daemon.ours);
    const { items } = await store.tasks.list({ tenantId: one, installationId: id }, page);
    expect(items).toMatchObject([{ kind: "install", state: "queued" }]);
    expect(await store.tasks.events(items[0]?.id ?? missing(), 0)).toMatchObject([
      { type: "step", step: "queued", seq: 1 },
    ]);
  });

  it("skips and counts installations that run elsewhere or have no tenant", async () => {
    for (const id of daemon.elsewhere) expect(await store.installations.find(id)).toBeUndefined();
    expect(await store.takeover.leftAlone()).toEqual({
      runtimes: { remote: 1, serverless: 1 },
      incomplete: 1,
      withoutDeclaration: 1,
    });
  });

  it("makes an adopted installation ready as any other install does", async () => {
    await store.takeover.keepPackage(pkgs.published, GRANTED);
    for (let turn = 0; turn < 2; turn += 1) {
      const [next] = await store.takeover.releaseTasks({ neededMax: 1, othersMax: 1 });
      await publish(next?.id ?? missing());
    }
    expect(await store.installations.find(ids.published[0] ?? missing())).toMatchObject({
      state: "ready",
      warnings: ["a warning"],
    });
    expect(await store.takeover.progress()).toMatchObject({ total: daemon.ours, ready: 2, failed: 0 });
  });

  async function publish(taskId: TaskId): Promise<void> {
    const claimed = await store.tasks.claim(taskId, "worker", 60_000);
    await store.installations.publishReady(taskId, claimed?.attempt ?? 0);
  }

  it("releases no task automatically, and releases needed tasks before those that many tenants have", async () => {
    const group = [pkgs.rare, pkgs.common, pkgs.last];
    const mine = group.map(({ identifier }) => identifier);
    const unread = await store.takeover.unread(100);
    const inOrder = unread.filter((identifier) => mine.includes(identifier));
    expect(inOrder[0]).toBe(pkgs.common.identifier);
    expect(inOrder.toSorted()).toEqual(mine.toSorted());
    // a package is read before its turn to be built can come
    expect(await store.takeover.releaseTasks({ neededMax: 9, othersMax: 9 })).toEqual([]);
    for (const pkg of group) await store.takeover.keepPackage(pkg, GRANTED);
    expect(await store.tasks.listClaimable(10)).toEqual([]);

    const releaseTasks = async () => {
      const tasks = await store.takeover.releaseTasks({ neededMax: 1, othersMax: 1 });
      return await Promise.all(tasks.map(async ({ id }) => (await store.tasks.find(id))?.identifier));
    };
    expect(await releaseTasks()).toEqual([pkgs.common.identifier]);
    expect(await releaseTasks()).toEqual([]);
    const { unread: left, waiting, building } = await store.takeover.progress();
    expect([waiting, building]).toEqual([3, 1]);
    const place = { place: 2, of: left + waiting + building };
    expect(await store.takeover.raise(ids.last)).toEqual(place);
    expect(await releaseTasks()).toEqual([pkgs.last.identifier]);
    expect(await store.takeover.raise(ids.last)).toEqual(place);
    expect(await store.tasks.listClaimable(10)).toHaveLength(2);
  });

  it("treats a task that another task waits for as needed", async () => {
    const [rare] = (await store.tasks.list({ tenantId: one, installationId: ids.rare }, { limit: 1 })).items;
    const asked = await store.tasks.accept({ kind: "fetch", tenantId: one, input: {} });
    const waiting = await store.tasks.claim(asked.task.id, "worker", 60_000);
    const on = [rare?.id ?? missing()];
    await store.tasks.wait(asked.task.id, waiting?.attempt ?? 0, { on, delayMs: 60_000, isEnding: false });
    expect(await store.takeover.releaseTasks({ neededMax: 2, othersMax: 1 })).toMatchObject([
      { id: rare?.id },
    ]);
  });

  it("fails installations without a package with a cause, and finds them again when the package has arrived", async () => {
    const { identifier } = pkgs.lost;
    expect(await store.takeover.fail(identifier, CAUSE)).toBe(2);
    expect(await store.takeover.fail(identifier, CAUSE)).toBe(0);
    const [first, second] = ids.lost;
    expect(await store.installations.find(first ?? missing())).toMatchObject({
      state: "failed",
      cause: CAUSE,
    });
    expect(await store.takeover.raise(first ?? missing())).toBeUndefined();
    expect(await store.takeover.arrived(10)).toEqual([]);
    await store.packages.put(pkgs.lost, {});
    const arrived = await store.takeover.arrived(10);
    expect(arrived.map(({ installationId }) => installationId).toSorted()).toEqual(
      [first, second].toSorted(),
    );
    expect(arrived).toMatchObject([{ identifier }, { identifier }]);
  });

  it("leaves nothing behind when a waiting installation is uninstalled", async () => {
    const { total } = await store.takeover.progress();
    const { task } = await store.installations.acceptUninstall(ids.gone);
    const claimed = await store.tasks.claim(task.id, "worker", 60_000);
    await store.installations.publishRemoved(task.id, claimed?.attempt ?? 0);
    expect(await adoptAll()).toMatchObject({ installations: 0 });
    expect(await store.takeover.unread(100)).not.toContain(pkgs.gone.identifier);
    expect(await store.takeover.progress()).toMatchObject({ total: total - 1 });
    expect(await store.installations.isPublished(ids.gone)).toBe(false);
  });

  it("corrects counts that are wrong, negative or missing, and changes no row of an installation that became ready", async () => {
    const places = [...ids.wrong, ids.uncounted, ...ids.published].map((id) => `'${id}'`);
    const rows = await look(
      `SELECT i.source, i.meta, i.endpoints_setups::text, i.endpoints_active::text, p.refers::text, d.declaration,
        (SELECT count(*)::text FROM tool_installations t
          WHERE t.tenant_id = i.tenant_id AND t.plugin_id = i.plugin_id) AS tools
      FROM plugin_installations i JOIN plugins p USING (plugin_unique_identifier)
      JOIN plugin_declarations d USING (plugin_unique_identifier)
      WHERE i.id IN (${places}) ORDER BY array_position(ARRAY[${places}], i.id::text)`,
    );
    const none = { endpoints_setups: "0", endpoints_active: "0", declaration: '{"as":"stored"}', tools: "1" };
    const wrong = { ...none, refers: "3", source: "github", meta: '{"repo":"a/b"}' };
    const published = { ...none, refers: "2", source: "marketplace", meta: "{}" };
    expect(rows).toEqual([
      { ...wrong, endpoints_setups: "2", endpoints_active: "1" },
      ...[wrong, wrong],
      { ...none, refers: "1", source: "", meta: "no JSON" },
      ...[published, published],
    ]);
    expect(await store.installations.find(ids.uncounted)).toMatchObject({ source: "package", meta: {} });
  });

  it("ends tasks that a daemon left running, and no task of Berth", async () => {
    const ours = randomUUID();
    await look(
      `INSERT INTO berth_tasks (id, kind, tenant_id, state) VALUES ('${ours}', 'batch', '${one}', 'queued')`,
      installTaskRow(one, { id: ours, status: "running", items: ITEMS }),
      "SELECT 1",
    );
    expect(await store.takeover.endDaemonTasks(10)).toBe(1);
    expect(await store.takeover.endDaemonTasks(10)).toBe(0);
    const [left, berths] = await look(
      `SELECT status, plugins FROM install_tasks WHERE id IN ('${daemon.left}', '${ours}') ORDER BY status`,
    );
    expect([left?.["status"], berths?.["status"]]).toEqual(["failed", "running"]);
    expect(JSON.parse(String(left?.["plugins"]))).toEqual([
      ITEMS[0],
      { plugin_id: "acme/b", status: "failed", message: "An unexpected daemon shutdown occurred" },
    ]);
  });
});

function identified(name: string) {
  const pluginId = `acme/${name}${randomUUID().slice(0, 8)}`;
  return { pluginId, identifier: `${pluginId}:1.0.0@${"c".repeat(64)}` };
}

function missing(): never {
  throw new Error("it is not there");
}
