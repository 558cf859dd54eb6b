import { PrismaPg } from "@prisma/adapter-pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TenantId } from "../../src/domain/ids.ts";
import type { Package } from "../../src/domain/package.ts";
import { silentLog } from "../../src/observe/log.ts";
import { openConnection } from "../../src/store/prisma/connection.ts";
import { plainSql } from "../../src/store/prisma/sql.ts";
import { DATABASES, type TestDatabase } from "../harness/stores.ts";

const PKG: Package = {
  ...{ identifier: `acme/all:1.0.0@${"b".repeat(64)}`, pluginId: "acme/all", author: "acme", name: "all" },
  ...{ version: "1.0.0", checksum: "b".repeat(64), bytes: 1, dialect: "real", declaration: { b: 1, a: 2 } },
  providers: [
    { kind: "tool", name: "t" },
    { kind: "model", name: "m" },
    { kind: "datasource", name: "d" },
    { kind: "agent_strategy", name: "s" },
    { kind: "trigger", name: "r" },
    { kind: "endpoint", name: "e" },
  ],
  runner: { language: "python", version: "3.12", entrypoint: "main", arch: ["amd64"] },
  ...{ limitsAsked: { memoryIsHard: false }, warnings: [] },
};
const TABLES = ["tool", "ai_model", "datasource", "agent_strategy", "trigger"].map(
  (kind) => `${kind}_installations`,
);

describe.each(DATABASES)("the daemon's rows on $name", ({ create }) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await create();
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  /** What the daemon would read: the embedded database has one opener, so Berth's store is closed by then. */
  async function read(sql: string): Promise<unknown[][]> {
    const { databaseUrl, dataFolder } = database;
    await using connection = await openConnection({
      ...{ databaseUrl, dataFolder, log: silentLog, poolMax: 1, statementTimeoutMs: 30_000 },
    });
    const adapter = await new PrismaPg(connection.pool).connect();
    return (await adapter.queryRaw(plainSql(sql))).rows;
  }

  it("count references per identifier, exist per kind while installed, and go with the last reference", async () => {
    const tenants = [TenantId.parse(crypto.randomUUID()), TenantId.parse(crypto.randomUUID())];
    const ids: string[] = [];
    {
      await using store = await database.open();
      await store.packages.put(PKG, {});
      for (const tenantId of tenants) {
        const { task, installation } = await store.installations.acceptInstall({
          ...{ tenantId, pluginId: PKG.pluginId, identifier: PKG.identifier, limitsAsked: PKG.limitsAsked },
          ...{ source: "package", meta: { from: "test" }, warnings: [] },
          limitsGranted: {
            ...{ memoryBytes: 1, storageBytes: 1, cpuMillis: 1, pidsMax: 1, concurrencyMax: 1, timeoutMs: 1 },
          },
        });
        ids.push(installation.id);
        const claim = await store.tasks.claim(task.id, "w", 60_000);
        await store.installations.publishReady(task.id, claim?.attempt ?? 0);
      }
    }
    expect(await read("SELECT refers::int, install_type, manifest_type, source FROM plugins")).toEqual([
      [2, "local", "", "package"],
    ]);
    expect(await read("SELECT id, runtime_type, source, meta FROM plugin_installations ORDER BY id")).toEqual(
      ids.toSorted().map((id) => [id, "local", "package", '{"from":"test"}']),
    );
    for (const table of TABLES) expect(await read(`SELECT provider FROM ${table}`)).toHaveLength(2);
    expect(await read("SELECT declaration FROM plugin_declarations")).toEqual([['{"b":1,"a":2}']]);

    await uninstall(ids.slice(0, 1));
    expect(await read("SELECT refers::int FROM plugins")).toEqual([[1]]);
    for (const table of TABLES) expect(await read(`SELECT tenant_id FROM ${table}`)).toEqual([[tenants[1]]]);

    await uninstall(ids.slice(1));
    for (const table of [
      ...TABLES,
      "plugins",
      "plugin_installations",
      "plugin_declarations",
      "berth_installations",
    ])
      expect(await read(`SELECT 1 FROM ${table}`), table).toEqual([]);
  });

  async function uninstall(ids: readonly string[]): Promise<void> {
    await using store = await database.open();
    const { items } = await store.installations.list({}, { limit: 10 });
    for (const { id } of items.filter((item) => ids.includes(item.id))) {
      const { task } = await store.installations.acceptUninstall(id);
      const claim = await store.tasks.claim(task.id, "w", 60_000);
      await store.installations.publishRemoved(task.id, claim?.attempt ?? 0);
    }
  }
});
