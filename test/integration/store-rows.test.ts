/** The tables that the platform reads: what each change of an installation makes of their rows. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InstallationId, TaskId, type TenantId } from "../../src/domain/ids.ts";
import type { Package } from "../../src/domain/package.ts";
import type { TaskKind } from "../../src/domain/task.ts";
import type { Published } from "../../src/store/contracts/installations.ts";
import type { Store } from "../../src/store/store.ts";
import { connectAsOther } from "../harness/rigs/other-program.ts";
import { DATABASES, type TestDatabase } from "../harness/rigs/stores.ts";
import { anInstall, aTenant, LIMITS } from "../harness/samples/tenant-rows.ts";

const PROVIDER_TABLES = ["tool", "ai_model", "datasource", "agent_strategy", "trigger"].map(
  (kind) => `${kind}_installations`,
);
const TABLES = [...PROVIDER_TABLES, "plugins", "plugin_installations", "plugin_declarations"];

function aPackage(name: string, version: string, providers: Package["providers"]): Package {
  const checksum = "b".repeat(64);
  return {
    identifier: `acme/${name}:${version}@${checksum}`,
    pluginId: `acme/${name}`,
    author: "acme",
    name,
    version,
    checksum,
    bytes: 1,
    dialect: "real",
    declaration: { b: version, a: 2 },
    providers,
    runner: { language: "python", version: "3.12", entrypoint: "main", arch: ["amd64"] },
    limitsAsked: { memoryIsHard: false },
    dependencies: [],
    warnings: [],
  };
}

const UPLOAD: { source: string; meta: Record<string, unknown> } = { source: "package", meta: {} };

describe.each(DATABASES)("the daemon's rows on $name", ({ create }) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await create();
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  /** As another program would: the embedded database has one opener, so Berth's store is closed by then. */
  async function ask(...statements: readonly string[]): Promise<unknown[][][]> {
    await using other = await connectAsOther(database);
    const answers: unknown[][][] = [];
    for (const text of statements) answers.push(await other.rows(text));
    return answers;
  }

  /** Every row of one tenant, and how many refer to each version that somebody has. */
  async function look(tenantId: TenantId) {
    const mine = `WHERE tenant_id = '${tenantId}'`;
    const [row, plugins, declarations, ...providers] = await ask(
      `SELECT id, plugin_unique_identifier, runtime_type, source, meta, endpoints_setups::int,
        to_char(created_at, 'HH24:MI:SS.US') FROM plugin_installations ${mine}`,
      "SELECT plugin_unique_identifier, refers::int, manifest_type FROM plugins ORDER BY 1",
      "SELECT plugin_unique_identifier, declaration FROM plugin_declarations ORDER BY 1",
      ...PROVIDER_TABLES.map((table) => `SELECT provider, plugin_unique_identifier FROM ${table} ${mine}`),
    );
    return { row: row?.[0], plugins, declarations, providers };
  }

  async function install(pkg: Package, tenantIds: readonly TenantId[], origin = UPLOAD) {
    await using store = await database.open();
    await store.packages.put(pkg, {});
    const ids: InstallationId[] = [];
    for (const tenantId of tenantIds) {
      const { task, installation } = await store.installations.acceptInstall(
        anInstall(pkg, tenantId, origin),
      );
      await publish(store, task.id);
      ids.push(installation.id);
    }
    return ids;
  }

  /** A change that was accepted, up to its last step. */
  async function change(kind: TaskKind, id: InstallationId | undefined, to: Package, published?: Published) {
    const taskId = TaskId.parse(crypto.randomUUID());
    await ask(`INSERT INTO berth_tasks (id, kind, tenant_id, installation_id, identifier, state)
      SELECT '${taskId}', '${kind}', tenant_id, id, '${to.identifier}', 'starting'
      FROM berth_installations WHERE id = '${id}' RETURNING 1`);
    await using store = await database.open();
    await publish(store, taskId, published);
    return await store.installations.find(id ?? InstallationId.parse(""));
  }

  async function publish(store: Store, taskId: TaskId, published?: Published): Promise<void> {
    const claim = await store.tasks.claim(taskId, "w", 60_000);
    await store.installations.publishReady(taskId, claim?.attempt ?? 0, published);
  }

  async function uninstall(ids: readonly InstallationId[]): Promise<void> {
    await using store = await database.open();
    for (const id of ids) {
      const { task } = await store.installations.acceptUninstall(id);
      const claim = await store.tasks.claim(task.id, "w", 60_000);
      await store.installations.publishRemoved(task.id, claim?.attempt ?? 0);
    }
  }

  async function expectNothingLeft(): Promise<void> {
    const tables = [...TABLES, "berth_installations"];
    expect(await ask(...tables.map((table) => `SELECT '${table}' FROM ${table}`))).toEqual(
      tables.map(() => []),
    );
  }

  it("count references per identifier, exist per provider kind while installed, and are removed with the last reference", async () => {
    const tenants = [aTenant(), aTenant()] as const;
    const all = aPackage("all", "1.0.0", [
      { kind: "tool", name: "t" },
      { kind: "model", name: "m" },
      { kind: "datasource", name: "d" },
      { kind: "agent_strategy", name: "s" },
      { kind: "trigger", name: "r" },
      { kind: "endpoint", name: "e" },
    ]);
    const ids = await install(all, tenants);
    for (const [place, tenant] of tenants.entries())
      expect(await look(tenant)).toEqual({
        row: [ids[place], all.identifier, "local", "package", "{}", 0, expect.any(String)],
        plugins: [[all.identifier, 2, ""]],
        declarations: [[all.identifier, '{"b":"1.0.0","a":2}']],
        providers: ["t", "m", "d", "s", "r"].map((name) => [[name, all.identifier]]),
      });

    await uninstall(ids.slice(0, 1));
    expect(await look(tenants[0])).toMatchObject({
      row: undefined,
      providers: PROVIDER_TABLES.map(() => []),
    });
    expect(await look(tenants[1])).toMatchObject({
      plugins: [[all.identifier, 1, ""]],
      providers: PROVIDER_TABLES.map(() => [[expect.any(String), all.identifier]]),
    });

    await uninstall(ids.slice(1));
    await expectNothingLeft();
  });

  it("of a package without tools do not appear in the table of tools", async () => {
    const tenant = aTenant();
    const only = aPackage("only", "1.0.0", [{ kind: "model", name: "m" }]);
    const ids = await install(only, [tenant]);
    expect((await look(tenant)).providers).toEqual([[], [["m", only.identifier]], [], [], []]);
    await uninstall(ids);
    await expectNothingLeft();
  });

  it("follow upgrade, rollback and uninstall of several tenants with every reference counted", async () => {
    const one = aPackage("moves", "1.0.0", [
      { kind: "tool", name: "clock" },
      { kind: "datasource", name: "d" },
    ]);
    const two = aPackage("moves", "2.0.0", [
      { kind: "tool", name: "clocks" },
      { kind: "trigger", name: "r" },
    ]);
    const [mine, other] = [aTenant(), aTenant()];
    const github = { source: "github", meta: { repo: "acme/moves", package: "m.difypkg", version: "v1" } };
    const marketplace = { source: "marketplace", meta: { plugin_unique_identifier: two.identifier } };
    const [id, othersId] = [...(await install(one, [mine], github)), ...(await install(one, [other]))];
    {
      await using store = await database.open();
      await store.packages.put(two, {});
    }
    await ask("UPDATE plugin_installations SET endpoints_setups = 3 RETURNING 1");
    const before = await look(mine);
    expect(before).toEqual({
      row: [id, one.identifier, "local", "github", JSON.stringify(github.meta), 3, expect.any(String)],
      plugins: [[one.identifier, 2, ""]],
      declarations: [one, two].map(({ identifier }) => [identifier, expect.any(String)]),
      providers: [[["clock", one.identifier]], [], [["d", one.identifier]], [], []],
    });
    const madeAt = before.row?.[6];

    expect(await change("upgrade", id, two, { origin: marketplace })).toMatchObject({
      identifier: two.identifier,
      previousIdentifier: one.identifier,
      state: "ready",
      generation: 2,
      ...marketplace,
    });
    expect(await look(mine)).toMatchObject({
      row: [id, two.identifier, "local", "marketplace", JSON.stringify(marketplace.meta), 3, madeAt],
      plugins: [
        [one.identifier, 1, ""],
        [two.identifier, 1, "plugin"],
      ],
      providers: [[["clocks", two.identifier]], [], [], [], [["r", two.identifier]]],
    });
    expect((await look(other)).providers).toEqual(before.providers);
    {
      await using store = await database.open();
      const sees = (tenant: TenantId) =>
        Promise.all([one, two].map(({ identifier }) => store.packages.isVisibleTo(identifier, tenant)));
      expect(await sees(mine), "what it has and could go back to").toEqual([true, true]);
      expect(await sees(other)).toEqual([true, false]);
      expect(await sees(aTenant())).toEqual([false, false]);
    }

    await change("upgrade", othersId, two);
    expect(await look(other)).toMatchObject({
      row: [othersId, two.identifier, "local", "package", "{}", 3, expect.any(String)],
      plugins: [[two.identifier, 2, "plugin"]],
      declarations: [[two.identifier, expect.any(String)]],
    });

    expect(await change("rollback", id, one)).toMatchObject({
      identifier: one.identifier,
      previousIdentifier: two.identifier,
      generation: 3,
      ...github,
    });
    const back = {
      ...before,
      plugins: [
        [one.identifier, 1, "plugin"],
        [two.identifier, 1, "plugin"],
      ],
    };
    expect(await look(mine)).toEqual(back);

    expect(await change("limits", id, one, { limitsGranted: { ...LIMITS, pidsMax: 7 } })).toMatchObject({
      identifier: one.identifier,
      previousIdentifier: two.identifier,
      generation: 4,
      limitsGranted: { pidsMax: 7 },
    });
    expect(await look(mine)).toEqual(back);
    await uninstall([id, othersId].flatMap((it) => it ?? []));
    await expectNothingLeft();
  });

  it("show a package from a URL with the source package, because the platform knows no such source", async () => {
    const tenant = aTenant();
    const source = { source: "url", meta: { url: "https://plugins.example/p", sha256: "a" } };
    const ids = await install(aPackage("far", "1.0.0", []), [tenant], source);
    expect((await look(tenant)).row).toContain("package");
    await uninstall(ids);
    await expectNothingLeft();
  });
});
