/** What a platform that knows the daemon asks about what is installed, without an engine. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import { TenantId } from "../../src/domain/ids.ts";
import { packFolder } from "../../src/packages/archive/pack.ts";
import { Scope } from "../../src/util/scope.ts";
import { openShelf, publish, type Shelf } from "../harness/rigs/dify-shelf.ts";
import { inPieces } from "../harness/rigs/intake.ts";
import { connectAsOther } from "../harness/rigs/other-program.ts";
import { ON_POSTGRES, type TestDatabase } from "../harness/rigs/stores.ts";
import * as models from "../harness/samples/dify-models.ts";
import { LIMITS } from "../harness/samples/tenant-rows.ts";
import { REAL_MANIFEST, realFiles, zipOf } from "../support/test-zip.ts";

const MINE = TenantId.parse("6f1a1c1e-0000-4000-8000-00000000000a");
const OTHER = TenantId.parse("6f1a1c1e-0000-4000-8000-00000000000b");
const NOBODY = "6f1a1c1e-0000-4000-8000-00000000000c";
const FIXTURES = join(import.meta.dirname, "../fixtures/declarations");
const never = new AbortController().signal;

/** One package of each kind, in the order in which they are installed. */
const KINDS = ["datasource", "endpoint", "model", "strategy", "tool-and-endpoint", "trigger"] as const;
/** Tools whose declarations are damaged afterwards, each in its own way. */
const DAMAGED = ["blockless", "broken", "gone", "half"] as const;
/** Those of which nothing is left that a client could call. */
const BLANK = ["acme/blockless", "acme/broken", "acme/gone"];

const named = (name: string, version = "0.0.1") =>
  zipOf(
    realFiles({
      "manifest.yaml": REAL_MANIFEST.replace("name: echo", `name: ${name}`).replace(
        "version: 0.0.1\ntype",
        `version: ${version}\ntype`,
      ),
    }),
  );
const management = (path: string, tenant: string = MINE) => `/plugin/${tenant}/management/${path}`;
const identifiersOf = (items: readonly { readonly plugin_unique_identifier: string }[]) =>
  items.map((item) => item.plugin_unique_identifier);

describe.each(ON_POSTGRES)("look-ups of a platform on $name", ({ create }) => {
  const scope = new Scope();
  let database: TestDatabase;
  let shelf: Shelf;
  const identifiers = new Map<string, string>();
  const of = (name: string) => identifiers.get(name) ?? "";

  beforeAll(async () => {
    database = scope.use(await create());
    {
      await using writer = await openShelf(database);
      await fill(writer);
    }
    await damage();
    shelf = scope.use(await openShelf(database));
  });
  afterAll(() => scope.close());

  async function fill({ intake, store }: Shelf): Promise<void> {
    const upload = async (name: string, bytes: Buffer) => {
      const { stored } = await intake.uploads.receive(inPieces(bytes), {}, never);
      identifiers.set(name, stored.identifier);
    };
    for (const kind of KINDS) {
      const output = join(database.dataFolder, `${kind}.difypkg`);
      await packFolder({ folder: join(FIXTURES, kind), output });
      await upload(kind, await readFile(output));
    }
    for (const name of [...DAMAGED, "theirs", "coming"]) await upload(name, named(name));
    await upload("newer", named("broken", "0.0.2"));
    for (const name of [...KINDS, ...DAMAGED])
      await publish(store, { tenantId: MINE, identifier: of(name), meta: { from: name } });
    for (const name of ["theirs", "model"]) await publish(store, { tenantId: OTHER, identifier: of(name) });
    // accepted, and not there yet
    await store.installations.acceptInstall({
      tenantId: MINE,
      pluginId: "acme/coming",
      identifier: of("coming"),
      source: "package",
      meta: {},
      limitsAsked: { memoryIsHard: false },
      warnings: [],
      limitsGranted: LIMITS,
    });
    const before = await store.platform.findInstallation(MINE, "acme/broken");
    if (before === undefined) throw new Error("acme/broken is not installed");
    await store.installations.acceptChange({ id: before.id, kind: "upgrade", identifier: of("newer") });
  }

  /** What time, and hands in the database, would bring about. */
  async function damage(): Promise<void> {
    await using other = await connectAsOther(database);
    const { run } = other;
    const declaration = (name: string) =>
      `UPDATE plugin_declarations SET declaration`.concat(
        name === "half"
          ? ` = '{"tags":null,"meta":null,"label":null,"tool":{"identity":{"name":"echo","author":"acme","label":{"en_US":"E"}},"tools":null}}'`
          : " = '{ no JSON'",
        ` WHERE plugin_unique_identifier = '${of(name)}'`,
      );
    await run(declaration("broken"));
    await run(declaration("blockless").replace("{ no JSON", "{}"));
    await run(declaration("half"));
    await run(`DELETE FROM plugin_declarations WHERE plugin_unique_identifier = '${of("gone")}'`);
    for (const table of ["plugin_installations", "tool_installations"])
      await run(`UPDATE ${table} SET created_at = '2026-01-01 00:00:00.000001+00'`);
  }

  async function read<T extends z.ZodType>(
    path: string,
    model: T,
    tenant: string = MINE,
  ): Promise<z.output<T>> {
    const { status, code, data } = await shelf.get(management(path, tenant));
    expect({ status, code }).toEqual({ status: 200, code: 0 });
    return model.parse(data);
  }

  test("a list holds all published plugins with all fields that clients need, and gives their total number", async () => {
    const { list, total } = await read("list?page=1&page_size=256&response_type=paged", models.PluginList);
    expect(total).toBe(KINDS.length + DAMAGED.length);
    expect(identifiersOf(list).toSorted()).toEqual([...KINDS, ...DAMAGED].map(of).toSorted());
    for (const item of list) {
      expect(item.installation_id).toBe(item.id);
      expect(item.tenant_id).toBe(MINE);
      expect(item.plugin_unique_identifier).toContain(`${item.plugin_id}:`);
      expect(item.plugin_unique_identifier).toContain(`@${item.checksum}`);
      expect(Object.keys(item.meta)).toEqual(["from"]);
    }
  });

  test("pages of one item have no gaps or repetitions, even if all rows have the same timestamp", async () => {
    const all = await read("list?page=1&page_size=256", models.PluginList);
    const seen: string[] = [];
    for (let page = 1; page <= all.total; page += 1) {
      const { list, total } = await read(`list?page=${page}&page_size=1`, models.PluginList);
      expect(total).toBe(all.total);
      seen.push(...identifiersOf(list));
    }
    expect(seen).toEqual(identifiersOf(all.list));
    expect((await read(`list?page=${all.total + 1}&page_size=1`, models.PluginList)).list).toEqual([]);
    expect((await read("list?page=9007199254740991&page_size=256", models.PluginList)).list).toEqual([]);
  });

  test("improved 8: a broken declaration never fails a list, and its plugin stays visible", async () => {
    const { list } = await read("list?page=1&page_size=256", models.PluginList);
    const shown = new Map(list.map((item) => [item.plugin_id, item.declaration]));
    expect(shown.get("acme/broken")).toMatchObject({ name: "broken", version: "0.0.1", tags: [] });
    expect(shown.get("acme/gone")).toMatchObject({ name: "gone", author: "acme", label: { en_US: "gone" } });
    expect(shown.get("acme/half")).toMatchObject({ tags: [], tool: { tools: [] } });
    const tools = await read("tools?page=1&page_size=256", models.PROVIDERS.tools.array());
    expect(tools.map((tool) => tool.plugin_id).toSorted()).toEqual(["acme/both", "acme/half"]);
    for (const plugin of BLANK) {
      const one = await shelf.get(management(`tool?plugin_id=${plugin}&provider=echo`));
      expect(one.error).toBe("PluginDaemonInternalServerError: the plugin's declaration cannot be read");
    }
  });

  test("must be identical 5: lists, tags and meta are empty, never null", async () => {
    for (const path of ["list", "tool/list"]) {
      const { data } = await shelf.get(management(`${path}?page=1&page_size=1`, NOBODY));
      expect(data).toMatchObject({ list: [] });
    }
    for (const path of Object.keys(models.PROVIDERS))
      expect((await shelf.get(management(`${path}?page=1&page_size=256`, NOBODY))).data).toEqual([]);
    expect((await shelf.get(management("models/bindings", NOBODY))).data).toEqual([]);
    expect((await shelf.get(management("installation/ids?category=tool", NOBODY))).data).toEqual({
      plugin_ids: [],
    });
    const empty = { plugin_ids: [] };
    expect((await shelf.post(management("installation/fetch/batch"), empty)).data).toEqual([]);
  });

  test("a running upgrade shows the version that serves, and a running install shows nothing", async () => {
    const { list } = await read("list?page=1&page_size=256", models.PluginList);
    expect(identifiersOf(list)).toContain(of("broken"));
    expect(identifiersOf(list)).not.toContain(of("newer"));
    expect(identifiersOf(list)).not.toContain(of("coming"));
    expect(
      (await shelf.get(management(`fetch/identifier?plugin_unique_identifier=${of("coming")}`))).data,
    ).toBe(false);
  });

  test.each(["tool", "model", "extension", "agent-strategy", "datasource", "trigger"])(
    "the category %s lists the id of each of its plugins once",
    async (category) => {
      const { plugin_ids: ids } = await read(`installation/ids?category=${category}`, models.PluginIds);
      const wanted = KINDS.filter((kind) => kind === category || (KIND_OF[kind] ?? kind) === category).map(
        pluginIdOf,
      );
      const damaged = category === "tool" ? DAMAGED.map((name) => `acme/${name}`) : [];
      // a declaration that cannot be read offers nothing: for want of anything else it is an extension's
      const blank = category === "extension" ? BLANK : [];
      expect(ids.toSorted()).toEqual([...wanted, ...damaged, ...blank].toSorted());
      const { list } = await read(`${category}/list?page=1&page_size=256`, models.CategoryList);
      const readable = ids.filter((id) => category !== "tool" || !BLANK.includes(id));
      expect(list.map((item) => item.plugin_id).toSorted()).toEqual(readable.toSorted());
    },
  );

  const pluginIdOf = (name: string) => of(name).split(":")[0] ?? "";

  test("a category's list is filtered by tags and by text in any case, and says whether there is more", async () => {
    const first = await read("extension/list?page=1&page_size=1", models.CategoryList);
    expect([first.list.length, first.has_more]).toEqual([1, true]);
    const rest = await read("extension/list?page=2&page_size=256", models.CategoryList);
    expect(rest).toEqual({ list: [], has_more: false });
    const found = await read("extension/list?page=1&page_size=256&query=BROKEN", models.CategoryList);
    expect(found.list.map((item) => item.plugin_id)).toEqual(["acme/broken"]);
    const tagged = await read("tool/list?page=1&page_size=256&tags=weather&tags=search", models.CategoryList);
    expect(tagged.list.map((item) => item.plugin_id)).toEqual(["acme/both"]);
  });

  test.each([
    ["list?page=0&page_size=10", 400, "Page"],
    ["list?page=1&page_size=257", 400, "PageSize"],
    ["list", 400, "Page"],
    ["tools?page=1", 400, "PageSize"],
    ["tool?plugin_id=acme/both", 400, "Provider"],
    ["tool/list?page=1&page_size=10&tags=nonsense", 400, "Tags"],
    ["tool/list?page=1&page_size=10&language=de_DE", 400, "Language"],
    [`tool/list?page=1&page_size=10&query=${"q".repeat(257)}`, 400, "Query"],
    ["installation/ids", 400, "Category"],
    ["fetch/manifest?plugin_unique_identifier=nonsense", 400, "PluginUniqueIdentifier"],
    ["installation/ids?category=nonsense", 200, "invalid plugin category"],
    ["nonsense/list?page=1&page_size=10", 200, "invalid plugin category"],
  ])("%s is refused with status %i and names %s", async (path, status, name) => {
    const answer = await shelf.get(management(path));
    expect(answer).toMatchObject({ status, code: -400, data: null });
    expect(answer.error).toMatch(/^PluginDaemonBadRequestError: /);
    expect(answer.error).toContain(name);
  });

  test("a batch returns the plugins that are installed, with their declarations, and is bounded", async () => {
    const plugin_ids = [pluginIdOf("model"), "acme/half", "acme/theirs", "acme/coming", "nobody/knows"];
    const { data } = await shelf.post(management("installation/fetch/batch"), { plugin_ids });
    const rows = models.Batch.parse(data);
    expect(rows.map((row) => row.plugin_id).toSorted()).toEqual(
      [pluginIdOf("model"), "acme/half"].toSorted(),
    );
    const many = Array.from({ length: 257 }, (_, place) => `a/p${place}`);
    const refused = await shelf.post(management("installation/fetch/batch"), { plugin_ids: many });
    expect(refused).toMatchObject({ status: 400, code: -400 });
    expect(refused.error).toContain("'PluginIDs' failed on the 'max' tag");
    expect(await shelf.post(management("installation/fetch/batch"), {})).toMatchObject({ status: 400 });
  });

  test("missing packages are listed in the order of the request, with the version that is installed", async () => {
    const asked = [of("theirs"), of("model"), of("newer"), of("coming")];
    const { data } = await shelf.post(management("installation/missing"), {
      plugin_unique_identifiers: asked,
    });
    expect(models.Missing.parse(data)).toEqual([
      { plugin_unique_identifier: of("theirs"), current_identifier: "" },
      { plugin_unique_identifier: of("newer"), current_identifier: of("broken") },
      { plugin_unique_identifier: of("coming"), current_identifier: "" },
    ]);
    const wrong = { plugin_unique_identifiers: [of("model"), "nonsense"] };
    const refused = await shelf.post(management("installation/missing"), wrong);
    expect(refused).toMatchObject({ status: 400, code: -400 });
    expect(refused.error).toContain("'plugin_unique_identifier' tag");
  });

  test.each([
    ["tools", "tool", "half"],
    ["models", undefined, "model"],
    ["agent_strategies", "agent_strategy", "strategy"],
    ["datasources", "datasource", "datasource"],
    ["triggers", "trigger", "trigger"],
  ] as const)(
    "%s have the fields that clients need, in a list and for a single provider",
    async (plural, singular, name) => {
      const rows = await read(`${plural}?page=1&page_size=256`, models.PROVIDERS[plural].array());
      const row = rows.find((one) => one.plugin_unique_identifier === of(name));
      expect(row?.tenant_id).toBe(MINE);
      if (singular === undefined) return;
      const one = (provider: string, plugin: string) =>
        shelf.get(management(`${singular}?plugin_id=${plugin}&provider=${provider}`));
      const { data } = await one(row?.provider ?? "", row?.plugin_id ?? "");
      expect(models.PROVIDERS[plural].parse(data)).toEqual(row);
      const plugin = "PluginNotFoundError: plugin not found";
      expect(await one("nobody", row?.plugin_id ?? "")).toMatchObject({
        status: 200,
        code: -404,
        error: plugin,
      });
      const none = singular === "datasource" ? "PluginDaemonInternalServerError: record not found" : plugin;
      expect(await one("nobody", "nobody/knows")).toMatchObject({ status: 200, error: none });
    },
  );

  test("the existence of tools is answered by plugin and provider, in the order of the request", async () => {
    const provider_ids = [
      { plugin_id: "acme/half", provider_name: "echo" },
      { plugin_id: "acme/half", provider_name: "nobody" },
      { plugin_id: "acme/theirs", provider_name: "echo" },
      { plugin_id: "acme/broken", provider_name: "echo" },
    ];
    const { data } = await shelf.post(management("tools/check_existence"), { provider_ids });
    expect(data).toEqual([true, false, false, true]);
    const refused = await shelf.post(management("tools/check_existence"), {
      provider_ids: [{ plugin_id: "a/b" }],
    });
    expect(refused).toMatchObject({ status: 400, code: -400 });
    expect(refused.error).toContain("ProviderName");
  });

  test("bindings name the installation of each model provider", async () => {
    const [binding, ...more] = await read("models/bindings", models.Bindings);
    expect(more).toEqual([]);
    const installed = await shelf.store.platform.findInstallation(MINE, pluginIdOf("model"));
    expect(binding).toMatchObject({
      installation_id: installed?.id,
      plugin_unique_identifier: of("model"),
      verified: false,
    });
  });

  test("another tenant's plugins are treated as if they did not exist, on every route", async () => {
    const theirs = await read("list?page=1&page_size=256", models.PluginList, OTHER);
    expect(identifiersOf(theirs.list).toSorted()).toEqual([of("model"), of("theirs")].toSorted());
    expect(theirs.list.every((item) => item.tenant_id === OTHER)).toBe(true);
    const mine = await read("list?page=1&page_size=256", models.PluginList);
    const ids = new Set(mine.list.map((item) => item.id));
    expect(theirs.list.filter((item) => ids.has(item.id))).toEqual([]);
    for (const [plural, model] of Object.entries(models.PROVIDERS)) {
      const rows = await read(`${plural}?page=1&page_size=256`, model.array(), OTHER);
      expect(rows.every((row) => row.tenant_id === OTHER)).toBe(true);
    }
    const found = await shelf.get(management("tool?plugin_id=acme/half&provider=echo", OTHER));
    expect(found.error).toBe("PluginNotFoundError: plugin not found");
    const plugin_ids = ["acme/half"];
    expect((await shelf.post(management("installation/fetch/batch", OTHER), { plugin_ids })).data).toEqual(
      [],
    );
    const provider_ids = [{ plugin_id: "acme/half", provider_name: "echo" }];
    const exists = await shelf.post(management("tools/check_existence", OTHER), { provider_ids });
    expect(exists.data).toEqual([false]);
    const bindings = await read("models/bindings", models.Bindings, OTHER);
    expect(bindings.map((one) => one.installation_id)).toEqual(
      theirs.list.filter((item) => item.plugin_id === pluginIdOf("model")).map((item) => item.id),
    );
    const { plugin_ids: tools } = await read("installation/ids?category=tool", models.PluginIds, OTHER);
    expect(tools).toEqual(["acme/theirs"]);
    const category = await read("datasource/list?page=1&page_size=9", models.CategoryList, OTHER);
    expect(category.list).toEqual([]);
  });

  test("the id of an installation is found for its own tenant only, and an invalid id is not found", async () => {
    const { platform } = shelf.store;
    const [first] = await platform.listInstallations(MINE, { page: 1, pageSize: 1 });
    const id = first?.id ?? "";
    expect(await platform.findInstallationById(MINE, id)).toEqual(first);
    expect(await platform.findInstallationById(OTHER, id)).toBeUndefined();
    expect(await platform.findInstallationById(MINE, "nonsense")).toBeUndefined();
  });

  test("a tenant that is not a UUID is answered with the database's refusal in an envelope", async () => {
    const answer = await shelf.get(management("list?page=1&page_size=1", "nobody"));
    expect(answer).toMatchObject({ status: 200, code: -500 });
    expect(answer.error).toMatch(/^PluginDaemonInternalServerError: invalid input syntax for type uuid/);
  });
});

/** The category of a fixture that is not called by its own. */
const KIND_OF: Readonly<Record<string, string>> = {
  endpoint: "extension",
  strategy: "agent-strategy",
  "tool-and-endpoint": "tool",
};
