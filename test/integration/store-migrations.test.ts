import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Catalogue, readCatalogue } from "../../src/store/prisma/migration/catalogue.ts";
import { readMigrations } from "../../src/store/prisma/migration/migrations.ts";
import { connectAsOther } from "../harness/rigs/other-program.ts";
import { DATABASES, type TestDatabase } from "../harness/rigs/stores.ts";
import { CATALOGUES, daemonTables } from "../harness/samples/daemon-database.ts";

interface Expected {
  readonly columns: Record<string, unknown>;
  readonly rules: Record<string, unknown>;
}

async function readExpected(): Promise<Expected> {
  return JSON.parse(await readFile(new URL("catalogue.expected.json", import.meta.url), "utf8")) as Expected;
}

describe.each(DATABASES)("migrations on $name", ({ empty }) => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await empty();
  });
  afterEach(() => database[Symbol.asyncDispose]());

  /** Runs statements as some other program would, before Berth has ever seen the database. */
  async function prepare(...statements: readonly string[]): Promise<Catalogue> {
    await using other = await connectAsOther(database);
    for (const sql of statements) await other.run(sql);
    return await readCatalogue(other.adapter);
  }

  it("create the daemon's tables exactly as its own migration does, including every index", async () => {
    const store = await database.open();
    await store[Symbol.asyncDispose]();
    const { columns, rules } = await prepare();
    const expected = await readExpected();
    const daemons = <T extends { table: string }>(facts: ReadonlyMap<string, T>) =>
      Object.fromEntries([...facts].filter(([, { table }]) => !/^(berth_|_prisma_)/.test(table)));
    expect(daemons(columns)).toEqual(expected.columns);
    expect(daemons(rules)).toEqual(expected.rules);
  });

  it("adopt a database that the daemon created, with its rows, and start on it again", async () => {
    const [daemon] = await readMigrations();
    const id = crypto.randomUUID();
    await prepare(
      daemon.sql,
      `INSERT INTO plugins (id, plugin_unique_identifier, refers) VALUES ('${id}', 'acme/p:1@a', 1)`,
    );
    const store = await database.open();
    const { instanceId } = store;
    await store[Symbol.asyncDispose]();
    const again = await database.open();
    expect(again.instanceId).toBe(instanceId);
    await again[Symbol.asyncDispose]();
    const { columns } = await prepare(`UPDATE plugins SET refers = refers + 1 WHERE id = '${id}'`);
    expect(columns.has("berth_installations.id")).toBe(true);
  });

  it.each(CATALOGUES)(
    "leave the %s tables of a daemon unchanged, so that its own migration has nothing to do",
    async (age) => {
      const before = await prepare(...(await daemonTables(age)));
      const store = await database.open();
      await store[Symbol.asyncDispose]();
      const after = await prepare();
      const theirs = new Set([...before.columns.values()].map(({ table }) => table));
      const of = <T extends { table: string }>(facts: ReadonlyMap<string, T>) =>
        [...facts].filter(([, { table }]) => theirs.has(table));
      expect(of(after.columns)).toEqual(of(before.columns));
      expect(of(after.rules)).toEqual(of(before.rules));
    },
  );

  it("make packages of an earlier release searchable by label, and skip declarations that cannot be read", async () => {
    const declarations: readonly (readonly [object, string | null])[] = [
      [{ label: { en_US: "Big Clock" }, description: { de_DE: "ZEIGT" } }, "acme/p0\nbig clock\nzeigt"],
      [{ label: "plain", description: { en_US: "Words" } }, "acme/p1\nwords"],
      [{}, "acme/p2"],
      [{ label: { en_US: "a \\u0063 is no escape" } }, "acme/p3\na \\u0063 is no escape"],
      // what the database would not read
      [{ label: { en_US: "x\0y" } }, null],
      [{ label: { en_US: "\ud800" } }, null],
    ];
    const store = await database.open();
    await store[Symbol.asyncDispose]();
    const rows = (await readMigrations()).find(({ name }) => name.endsWith("_rows"));
    const [backfill] = /UPDATE berth_packages[^;]*/.exec(rows?.sql ?? "") ?? [];
    await prepare(
      ...declarations.map(
        ([declaration], place) => `
        INSERT INTO berth_packages (identifier, plugin_id, author, name, version, checksum, bytes, dialect, declaration,
          providers, runner, limits_asked, warnings)
        VALUES ('acme/p${place}:1@a', 'acme/p${place}', 'acme', 'p${place}', '1', 'a', 1, 'real',
          $json$${JSON.stringify(declaration)}$json$, '[]', '{}', '{}', '[]')`,
      ),
      backfill ?? "",
      // a row that is not as it should be is a division by zero
      ...declarations.map(
        ([, search], place) => `
        SELECT 1 / (count(*) FILTER (WHERE search IS NOT DISTINCT FROM ${search === null ? "NULL" : `$text$${search}$text$`}))
        FROM berth_packages WHERE plugin_id = 'acme/p${place}'`,
      ),
    );
  });

  it.each([
    ["ALTER TABLE plugins ALTER COLUMN refers TYPE integer", "plugins.refers"],
    ["ALTER TABLE tool_installations DROP COLUMN provider", "tool_installations.provider"],
    // before a current daemon's migration has taken it off
    ["ALTER TABLE plugins ADD COLUMN declaration text NOT NULL", "plugins.declaration"],
    ["ALTER TABLE endpoints ADD COLUMN extra text NOT NULL", "endpoints.extra"],
    ["ALTER TABLE endpoints DROP CONSTRAINT uni_endpoints_hook_id", "endpoints (uni_endpoints_hook_id)"],
  ])("refuse a database after %s and leave it as it was", async (change, field) => {
    const [daemon] = await readMigrations();
    const before = await prepare(daemon.sql, change);
    await expect(database.open()).rejects.toMatchObject({ code: "store_mismatch", details: { field } });
    expect(await prepare()).toEqual(before);
  });
});

describe("migrations on PostgreSQL alone", () => {
  it("give several concurrent starters one history and one instance id", async () => {
    await using database = await DATABASES[1].empty();
    const stores = await Promise.all(Array.from({ length: 4 }, () => database.open()));
    expect(new Set(stores.map(({ instanceId }) => instanceId)).size).toBe(1);
    for (const store of stores) await store[Symbol.asyncDispose]();
  });
});
