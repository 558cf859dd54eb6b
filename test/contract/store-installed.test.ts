/** Lists of what a tenant has installed: filters, order and cursors, on both databases. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type InstallationId, TaskId, TenantId } from "../../src/domain/ids.ts";
import type { Package } from "../../src/domain/package.ts";
import type { Page } from "../../src/store/contracts/answers.ts";
import type { InstalledFilter } from "../../src/store/contracts/installed.ts";
import type { Store } from "../../src/store/store.ts";
import { connectAsOther } from "../harness/rigs/other-program.ts";
import { DATABASES, type TestDatabase } from "../harness/rigs/stores.ts";
import { anInstall } from "../harness/samples/tenant-rows.ts";

const MINE = TenantId.parse("6f1a1c1e-0000-4000-8000-00000000000a");
const OTHER = TenantId.parse("6f1a1c1e-0000-4000-8000-00000000000b");
const BYTES = 1_000_000;

type Kinds = readonly Package["providers"][number]["kind"][];
interface Row {
  readonly name: string;
  readonly kinds: Kinds;
  readonly source: string;
  readonly state: string;
  readonly pool?: string;
}

/** In order of creation; all but the first have the same microsecond. */
const ROWS: readonly Row[] = [
  { name: "oldest", kinds: ["tool"], source: "package", state: "ready", pool: "ready" },
  { name: "tools", kinds: ["tool"], source: "package", state: "ready", pool: "ready" },
  { name: "idle", kinds: ["tool"], source: "github", state: "ready", pool: "idle" },
  { name: "poolless", kinds: ["tool"], source: "marketplace", state: "ready" },
  { name: "many", kinds: ["tool", "model", "endpoint"], source: "package", state: "ready", pool: "backoff" },
  { name: "models", kinds: ["model"], source: "marketplace", state: "failed" },
  { name: "loops", kinds: ["datasource"], source: "package", state: "crash_loop", pool: "crash_loop" },
  { name: "asleep", kinds: ["agent_strategy"], source: "package", state: "disabled", pool: "idle" },
  { name: "coming", kinds: ["trigger"], source: "url", state: "installing" },
  { name: "hooks", kinds: ["endpoint"], source: "package", state: "ready", pool: "starting" },
];

function aPackage({ name, kinds }: Row): Package {
  const checksum = "d".repeat(64);
  const pluginId = `acme/${name}`;
  return {
    identifier: `${pluginId}:1.0.0@${checksum}`,
    pluginId,
    author: "acme",
    name,
    version: "1.0.0",
    checksum,
    bytes: 10,
    dialect: "seed",
    dependencies: [],
    warnings: [],
    limitsAsked: { memoryIsHard: false },
    declaration: {
      label: { en_US: `The ${name}`, de_DE: `ÜBER ${name}` },
      description: { en_US: name === "models" ? "100%_sure" : "Plain\0words" },
      ...Object.fromEntries(kinds.map((kind) => [kind, { of: name, kind }])),
    },
    providers: kinds.map((kind) => ({ kind, name: `${name}-${kind}` })),
    runner: { language: "python", version: "3.12", entrypoint: "main", arch: ["amd64"] },
  };
}

describe.each(DATABASES)("a tenant's installations on $name", ({ create }) => {
  let database: TestDatabase;
  let store: Store;
  const ids = new Map<string, InstallationId>();

  beforeAll(async () => {
    database = await create();
    {
      await using writer = await database.open();
      for (const row of ROWS) ids.set(row.name, await install(writer, row, MINE));
      for (const row of ROWS.slice(0, 2)) await install(writer, row, OTHER);
    }
    await prepare();
    store = await database.open();
  });
  afterAll(async () => {
    await store?.[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
  });

  async function install(writer: Store, row: Row, tenantId: TenantId): Promise<InstallationId> {
    const pkg = aPackage(row);
    await writer.packages.put(pkg, {});
    const { installation, task } = await writer.installations.acceptInstall(
      anInstall(pkg, tenantId, { source: row.source }),
    );
    if (row.state === "failed" || row.state === "installing") return installation.id;
    const claim = await writer.tasks.claim(task.id, "w", 60_000);
    await writer.installations.publishReady(TaskId.parse(task.id), claim?.attempt ?? 0);
    return installation.id;
  }

  /** States that otherwise only time and supervision bring about. */
  async function prepare(): Promise<void> {
    await using other = await connectAsOther(database);
    const { run } = other;
    for (const { name, state, pool } of ROWS) {
      const key = pool === undefined ? "NULL" : `'${name}'`;
      await run(`UPDATE berth_installations SET state = '${state}', pool_key = ${key},
        created_at = '2026-01-01 00:00:00.${name === "oldest" ? "000001" : "000002"}+00'
        WHERE tenant_id = '${MINE}' AND plugin_id = 'acme/${name}'`);
      if (pool !== undefined)
        await run(`INSERT INTO berth_pools (key, plugin_id, identifier, image_key, image_ref, runner, limits, wanted, state)
          VALUES ('${name}', 'acme/${name}', 'i', 'k', 'r', '{}', '{}', true, '${pool}')`);
    }
  }

  /** All that a filter matches, read in pages of the given size. */
  async function names(filter: Omit<InstalledFilter, "tenantId">, limit = 100): Promise<string[]> {
    const items = await all((cursor) =>
      store.installed.list({ tenantId: MINE, ...filter }, { limit, declarationBytesMax: 0, ...cursor }),
    );
    return items.map(({ installation }) => installation.pluginId.slice("acme/".length));
  }

  async function all<T>(read: (cursor: { cursor?: string }) => Promise<Page<T>>): Promise<T[]> {
    const items: T[] = [];
    for (let cursor: { cursor?: string } = {}; ; ) {
      const page = await read(cursor);
      items.push(...page.items);
      if (page.nextCursor === undefined) return items;
      cursor = { cursor: page.nextCursor };
    }
  }

  const filters = (): [Omit<InstalledFilter, "tenantId">, string[]][] => [
    [{}, ROWS.map(({ name }) => name)],
    [{ category: "tool" }, ["oldest", "tools", "idle", "poolless", "many"]],
    [{ category: "model" }, ["models"]],
    [{ category: "agent-strategy" }, ["asleep"]],
    [{ category: "extension" }, ["hooks"]],
    [{ state: "ready" }, ["oldest", "tools", "idle", "poolless", "many", "hooks"]],
    [{ state: "removing" }, []],
    [{ status: "running" }, ["oldest", "tools", "many", "hooks"]],
    [{ status: "installed" }, ["idle", "poolless"]],
    [{ status: "installing" }, ["coming"]],
    [{ status: "stopped" }, ["asleep"]],
    [{ status: "error" }, ["models", "loops"]],
    [{ source: "marketplace" }, ["poolless", "models"]],
    [{ source: "url" }, ["coming"]],
    [{ pluginId: "acme/many" }, ["many"]],
    [{ text: "über M" }, ["many", "models"]],
    [{ text: "ACME/TOO" }, ["tools"]],
    [{ text: "%_" }, ["models"]],
    [{ text: "plainwords" }, ROWS.map(({ name }) => name).filter((name) => name !== "models")],
    [{ text: "nowhere" }, []],
    [{ category: "tool", status: "running", source: "package", text: "the " }, ["oldest", "tools", "many"]],
    [{ category: "tool", state: "failed" }, []],
  ];

  it("are found by category, state, status, source, plugin and text, alone and combined", async () => {
    for (const [filter, expected] of filters())
      expect({ filter, found: (await names(filter)).toSorted() }).toEqual({
        filter,
        found: expected.toSorted(),
      });
  });

  it("are paged newest first, and rows of one microsecond are neither lost nor repeated under any filter", async () => {
    const order = await names({});
    expect(order.at(-1)).toBe("oldest");
    const byId = order.slice(0, -1).map((name) => ids.get(name) ?? "");
    expect(byId).toEqual(byId.toSorted().reverse());
    for (const [filter] of filters()) {
      const whole = await names(filter);
      expect(whole).toEqual(order.filter((name) => whole.includes(name)));
      for (const limit of [1, 2, 3])
        expect({ filter, found: await names(filter, limit) }).toEqual({ filter, found: whole });
    }
  });

  it("are separate for each tenant", async () => {
    const page = { limit: 100, declarationBytesMax: BYTES };
    const { items } = await store.installed.list({ tenantId: OTHER }, page);
    expect(items.map(({ installation }) => installation.tenantId)).toEqual([OTHER, OTHER]);
    const providers = await store.installed.providers({ tenantId: OTHER }, page);
    expect(providers.items.map(({ installation }) => installation.tenantId)).toEqual([OTHER, OTHER]);
    expect(await store.installed.providerNames(OTHER, "tool")).toEqual([
      ...["acme/oldest/oldest-tool", "acme/tools/tools-tool"],
    ]);
    expect(await store.installed.list({ tenantId: TenantId.parse(crypto.randomUUID()) }, page)).toMatchObject(
      { items: [], nextCursor: undefined },
    );
  });

  it("come with declarations in pages of bounded size, and each page holds at least one", async () => {
    const { items } = await store.installed.list(
      { tenantId: MINE },
      { limit: 3, declarationBytesMax: BYTES },
    );
    expect(items.map(({ declaration }) => Object.keys(declaration ?? {}))).toEqual(
      items.map(({ installation }) => [
        ...["label", "description"],
        ...(ROWS.find(({ name }) => installation.pluginId.endsWith(name))?.kinds ?? []),
      ]),
    );
    for (const [declarationBytesMax, length] of [
      [1, 1],
      [300, 2],
    ] as const) {
      const page = { limit: 5, declarationBytesMax };
      const cut = await store.installed.list({ tenantId: MINE }, page);
      expect(cut.items).toHaveLength(length);
      expect(
        await all((cursor) => store.installed.list({ tenantId: MINE }, { ...page, ...cursor })),
      ).toHaveLength(ROWS.length);
    }
    const none = await store.installed.list({ tenantId: MINE }, { limit: 3, declarationBytesMax: 0 });
    expect(none.items.map(({ declaration }) => declaration)).toEqual([undefined, undefined, undefined]);
  });

  it("list the providers of each kind with their part of the declaration, once they have been ready", async () => {
    const read = (limit: number, kind?: Kinds[number]) =>
      all((cursor) =>
        store.installed.providers(
          { tenantId: MINE, ...(kind !== undefined && { kind }) },
          { limit, declarationBytesMax: BYTES, ...cursor },
        ),
      );
    const every = await read(100);
    const ready = ROWS.filter(({ state }) => state !== "failed" && state !== "installing");
    expect(every.map(({ name }) => name).toSorted()).toEqual(
      ready.flatMap(({ name, kinds }) => kinds.map((kind) => `${name}-${kind}`)).toSorted(),
    );
    for (const { kind, declaration, installation } of every)
      expect(declaration).toEqual({ of: installation.pluginId.slice("acme/".length), kind });
    const many = every.filter(({ installation }) => installation.pluginId === "acme/many");
    expect(many.map(({ kind }) => kind)).toEqual(["tool", "model", "endpoint"]);
    for (const limit of [1, 2])
      expect((await read(limit)).map(({ name }) => name)).toEqual(every.map(({ name }) => name));
    for (const kind of ["tool", "model", "endpoint", "trigger"] as const)
      expect((await read(1, kind)).map(({ name }) => name)).toEqual(
        every.filter((it) => it.kind === kind).map(({ name }) => name),
      );
    expect(await store.installed.providerNames(MINE, "model")).toEqual(["acme/many/many-model"]);
  });

  it("refuse a cursor that no list returned, or that another list returned", async () => {
    const page = { limit: 1, declarationBytesMax: BYTES };
    const packages = await store.packages.list({}, { limit: 1 });
    const forged = (text: string) => Buffer.from(text).toString("base64url");
    const id = crypto.randomUUID();
    for (const cursor of [
      ...["nonsense", packages.nextCursor ?? "", forged(`2026-02-30T00:00:00.000000 ${id}`)],
      ...[forged(`0000-01-01T00:00:00.000000 ${id}`), forged(`2026-01-01T25:00:00.000000 ${id}`)],
      ...[forged("2026-01-01T00:00:00.000000 x"), forged(`2026-01-01T00:00:00.000000 \0${id}`)],
    ])
      await expect(
        store.installed.list({ tenantId: MINE }, { ...page, cursor }),
        cursor,
      ).rejects.toMatchObject({ code: "invalid_input", details: { field: "cursor", value: cursor } });
  });
});
