/**
 * What the platform reads in the database after real installs, and what it is answered over the API: the rows of one
 * plugin join, and both tell the same.
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  aTenant,
  eventually,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  uninstall,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { connectAsOther } from "../harness/rigs/other-program.ts";
import { ON_POSTGRES, openSite, type Site } from "../harness/rigs/site.ts";
import { file, type SourceServer, startSourceServer } from "../harness/servers/source-server.ts";

const PUBLIC_URL = "https://plugins.example/berth";

/** The platform's question: what of a plugin is there for a tenant. */
const joinOf = (tenants: readonly string[]) => `
  SELECT p.plugin_id, p.plugin_unique_identifier, p.refers::text, p.install_type, i.id::text AS installation_id,
    i.runtime_type, i.source, i.meta, t.provider, d.declaration
  FROM plugins p
  JOIN plugin_installations i
    ON i.plugin_id = p.plugin_id AND i.plugin_unique_identifier = p.plugin_unique_identifier
  LEFT JOIN tool_installations t ON t.tenant_id = i.tenant_id
    AND t.plugin_id = i.plugin_id AND t.plugin_unique_identifier = i.plugin_unique_identifier
  JOIN plugin_declarations d
    ON d.plugin_id = p.plugin_id AND d.plugin_unique_identifier = p.plugin_unique_identifier
  WHERE i.tenant_id IN (${tenants.map((tenant) => `'${tenant}'`)})
  ORDER BY array_position(ARRAY[${tenants.map((tenant) => `'${tenant}'`)}], i.tenant_id::text), p.plugin_id`;

/** The echo as a plugin of models: it speaks the same protocol, and offers no tools. */
const packParrot = (): Promise<PackedPlugin> =>
  packPlugin("echo", {
    "manifest.yaml": (text) =>
      text
        .replace("name: echo", "name: parrot")
        .replace("tools:\n    - provider/echo.yaml", "models:\n    - provider/parrot.yaml"),
    "provider/parrot.yaml": [
      "provider: parrot",
      "label: { en_US: Parrot }",
      "supported_model_types: [llm]",
      "configurate_methods: [customizable-model]",
      "",
    ].join("\n"),
  });

interface Entity {
  readonly [field: string]: unknown;
  readonly tenant_id: string;
  readonly plugin_id: string;
  readonly plugin_unique_identifier: string;
  readonly installation_id: string;
  readonly declaration: Record<string, unknown> | null;
  readonly status: string;
  readonly endpoint: string;
}
interface List<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}
interface Refusal {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly details: { readonly accepted: unknown };
  };
}

describe.each(ON_POSTGRES)("on $database", ({ database }) => {
  let site: Site;
  let berth: BerthProcess;
  let echo: PackedPlugin;
  let parrot: PackedPlugin;
  let server: SourceServer;
  /** By the tenant and the plugin's own name: where each came from. */
  let origins: Readonly<Record<string, { readonly source: string; readonly meta: object }>>;
  const [mine, other] = [aTenant(), aTenant()];

  beforeAll(async () => {
    [echo, parrot] = [await packPlugin("echo"), await packParrot()];
    server = await startSourceServer();
    server.on("/berth-tests/echo/releases/download/v0.0.1/echo.difypkg", file(echo.bytes));
    site = await openSite({
      database,
      env: {
        BERTH_PUBLIC_URL: `${PUBLIC_URL}/`,
        BERTH_IDLE_STOP_SECONDS: "2",
        BERTH_GITHUB_URL: server.url,
        BERTH_SOURCE_PRIVATE_NETWORKS: "127.0.0.1",
      },
    });
    berth = await site.start();
    const asset = { repo: "berth-tests/echo", release: "v0.0.1", asset: "echo.difypkg" };
    await installFrom(mine, { type: "github", ...asset });
    await install(berth, parrot, mine);
    await installFrom(other, { type: "marketplace", identifier: echo.identifier });
    const { repo, release: version, asset: name } = asset;
    origins = {
      [`${mine} echo`]: { source: "github", meta: { repo, version, package: name } },
      [`${mine} parrot`]: { source: "package", meta: {} },
      [`${other} echo`]: { source: "marketplace", meta: { plugin_unique_identifier: echo.identifier } },
    };
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  async function installFrom(tenant: string, source: object): Promise<void> {
    const { task } = await berth.json<{ task: { id: string } }>(202, "POST", of(tenant, "installations"), {
      body: { source },
    });
    expect((await follow(berth, { tenant, taskId: task.id })).at(-1)).toMatchObject({ state: "ready" });
  }

  const of = (tenant: string, path: string) => `/v1/tenants/${tenant}/${path}`;
  const list = (tenant: string, query = "") =>
    berth.json<List<Entity>>(200, "GET", of(tenant, `installations${query}`));
  const refusal = async (path: string, key?: string) => {
    const answer = await berth.request("GET", path, key === undefined ? {} : { key });
    const { error } = (await answer.json()) as Refusal;
    return { ...error, status: answer.status };
  };

  test("an installation shows the platform's fields beside its own, in a list and when it is requested alone", async () => {
    const { items } = await list(mine);
    expect(items.map(({ plugin_id }) => plugin_id)).toEqual([parrot.pluginId, echo.pluginId]);
    for (const [item, { identifier, pluginId }] of [
      [items[0], parrot],
      [items[1], echo],
    ] as const) {
      expect(item).toMatchObject({
        tenant_id: mine,
        plugin_id: pluginId,
        plugin_unique_identifier: identifier,
        identifier,
        state: "ready",
        cause: null,
        ...origins[`${mine} ${pluginId.split("/")[1]}`],
        status: expect.stringMatching(/^(running|installed)$/),
        installation_id: item?.["id"],
        endpoint: `${PUBLIC_URL}/v1/tenants/${mine}/plugins/${pluginId}/invoke`,
        declaration: { name: pluginId.split("/")[1], version: "0.0.1", type: "plugin" },
      });
      const alone = await berth.json<Entity>(200, "GET", of(mine, `installations/${item?.installation_id}`));
      const { status: _status, updated_at: _at, ...rest } = item ?? ({} as Partial<Entity>);
      expect(alone).toMatchObject({ ...rest, last_task: { state: "ready" } });
      const stored = await berth.json(200, "GET", `/v1/packages/${identifier}`);
      expect(stored["declaration"]).toEqual(item?.declaration);
    }
    const light = await list(mine, "?declaration=no");
    expect(light.items.map(({ declaration }) => declaration)).toEqual([null, null]);
  });

  test("an installation that is stopped when idle has the status installed, and running after a call to its endpoint", async () => {
    const status = async () => (await list(mine, "?category=tool")).items[0]?.status;
    await eventually(async () => ((await status()) === "installed" ? true : undefined));
    expect((await list(mine, "?status=installed&category=tool")).items).toHaveLength(1);
    const endpoint = (await list(mine, "?category=tool")).items[0]?.endpoint ?? "";
    const call = () =>
      berth.json(200, "POST", `${endpoint.slice(PUBLIC_URL.length)}/tool/invoke_tool`, {
        headers: { accept: "application/json" },
        body: {
          user_id: "u",
          provider: "echo",
          tool_name: "echo",
          credentials: {},
          tool_parameters: { text: "aye" },
        },
      });
    // the first may still be answered by the one that is being stopped
    await eventually(async () => {
      expect(await call()).toMatchObject({ items: [{ message: { text: "aye" } }] });
      return (await status()) === "running" ? true : undefined;
    });
  });

  test("lists are filtered and paged; an unknown filter value is refused with the accepted values", async () => {
    const found = async (query: string) => (await list(mine, query)).items.map(({ plugin_id }) => plugin_id);
    expect(await found("?category=model&state=ready&source=package")).toEqual([parrot.pluginId]);
    expect(await found(`?plugin_id=${echo.pluginId}`)).toEqual([echo.pluginId]);
    expect(await found("?text=MESSAGES%20and%20bytes")).toEqual([parrot.pluginId, echo.pluginId]);
    expect(await found("?source=github&category=tool")).toEqual([echo.pluginId]);
    expect(await found("?source=marketplace")).toEqual([]);
    const first = await list(mine, "?limit=1");
    expect(first.items).toHaveLength(1);
    expect(await found(`?limit=1&cursor=${first.next_cursor}`)).toEqual([echo.pluginId]);
    for (const [filter, accepted] of [
      ["category=toys", '"tool", "model", "datasource", "agent-strategy", "trigger", "extension"'],
      ["status=asleep", '"installing", "installed", "running", "stopped", "error"'],
      ["source=floppy", '"package", "github", "marketplace", "url", "remote"'],
    ] as const)
      expect(await refusal(of(mine, `installations?${filter}`))).toMatchObject({
        status: 400,
        code: "invalid_input",
        details: { field: filter.split("=")[0], accepted },
      });
    expect((await refusal(of(mine, "installations?state=gone"))).details.accepted).toContain('"crash_loop"');
    expect((await refusal(of(mine, "providers?kind=toys"))).details.accepted).toContain('"agent_strategy"');
    expect((await refusal(of(mine, "installations?text=%00"))).status).toBe(400);
  });

  test("the tools of a provider are listed by its three-part name; a two-part name is refused with the full name", async () => {
    const full = `${echo.pluginId}/echo`;
    const { items } = await berth.json<List<Entity>>(200, "GET", of(mine, "providers?kind=tool"));
    expect(items).toMatchObject([
      {
        kind: "tool",
        provider: full,
        name: "echo",
        plugin_id: echo.pluginId,
        state: "ready",
        plugin_unique_identifier: echo.identifier,
        declaration: { identity: { name: "echo" } },
      },
    ]);
    const answer = await berth.json(200, "GET", of(mine, `tools?provider=${encodeURIComponent(full)}`));
    expect(answer).toMatchObject({
      provider: full,
      plugin_id: echo.pluginId,
      plugin_unique_identifier: echo.identifier,
      state: "ready",
      tools: items[0]?.declaration?.["tools"],
    });
    expect(answer["tools"]).toMatchObject([{ identity: { name: "echo" } }]);
    expect(await refusal(of(mine, `tools?provider=${echo.pluginId}`))).toMatchObject({
      status: 400,
      code: "invalid_input",
      details: { field: "provider", accepted: [full] },
      message: `provider is "${echo.pluginId}"; accepted: organisation/plugin/provider, here ${full}.`,
    });
    expect(await refusal(of(mine, `tools?provider=${parrot.pluginId}/parrot`))).toMatchObject({
      status: 404,
      code: "provider_not_found",
    });
    expect(await refusal(of(mine, "tools"))).toMatchObject({ status: 400, details: { field: "provider" } });
  });

  test("a tenant's key reads its own tenant, and nothing of another tenant", async () => {
    const { key } = await berth.json<{ key: string }>(201, "POST", "/v1/keys", {
      body: { name: "other", tenant_id: other },
    });
    const full = `${parrot.pluginId}/parrot`;
    for (const path of ["installations", "providers", `tools?provider=${echo.pluginId}/echo`])
      expect(await refusal(of(mine, path), key)).toMatchObject({ status: 403, code: "forbidden" });
    const theirs = await berth.json<List<Entity>>(200, "GET", of(other, "providers"), { key });
    expect(theirs.items.map(({ plugin_id }) => plugin_id)).toEqual([echo.pluginId]);
    expect(await refusal(of(other, `tools?provider=${full}`), key)).toMatchObject({ status: 404 });
    const named = await refusal(of(other, `tools?provider=${parrot.pluginId}`), key);
    expect(named.details.accepted).toBe("organisation/plugin/provider");
    const [one] = (await list(mine)).items;
    expect(await refusal(of(other, `installations/${one?.installation_id}`), key)).toMatchObject({
      status: 404,
    });
    expect(await refusal(`/v1/packages/${parrot.identifier}`, key)).toMatchObject({ status: 404 });
    expect(await berth.json(200, "GET", `/v1/packages/${echo.identifier}`, { key })).toMatchObject({
      declaration: { name: "echo" },
    });
  });

  test("the three tables join on plugin and version, name the provider, and are empty after the last uninstall", async () => {
    const shown = [...(await list(mine)).items, ...(await list(other)).items];
    await berth.kill("SIGTERM");
    const [rows = [], models] = await ask(
      joinOf([mine, other]),
      "SELECT provider FROM ai_model_installations",
    );
    expect(rows).toHaveLength(3);
    for (const row of rows) {
      const entity = shown.find(({ installation_id }) => installation_id === row["installation_id"]);
      const declaration = JSON.parse(String(row["declaration"]));
      expect(declaration).toEqual(entity?.declaration);
      const { source, meta } = origins[`${entity?.tenant_id} ${declaration.name}`] ?? {};
      expect(JSON.parse(String(row["meta"]))).toEqual(meta);
      expect(row).toEqual({
        plugin_id: entity?.plugin_id,
        plugin_unique_identifier: entity?.plugin_unique_identifier,
        installation_id: entity?.installation_id,
        declaration: expect.any(String),
        install_type: "local",
        runtime_type: "local",
        source,
        meta: expect.any(String),
        refers: entity?.plugin_id === echo.pluginId ? "2" : "1",
        provider: declaration.tool?.identity.name ?? null,
      });
    }
    expect(rows.map(({ provider }) => provider)).toEqual(["echo", null, "echo"]);
    expect(models).toEqual([{ provider: "parrot" }]);

    berth = await site.start();
    for (const { tenant_id: tenant, installation_id: installationId } of shown)
      await uninstall(berth, { tenant, installationId, taskId: "" });
    await berth.kill("SIGTERM");
    const tables = ["plugins", "plugin_installations", "tool_installations", "plugin_declarations"];
    expect(await ask(...tables.map((table) => `SELECT 1 AS one FROM ${table}`))).toEqual([[], [], [], []]);
  });

  /** As another program reads it, with Berth gone: the embedded database has one opener. */
  async function ask(...statements: readonly string[]): Promise<Readonly<Record<string, unknown>>[][]> {
    const { dataFolder, env } = site;
    await using other = await connectAsOther({ databaseUrl: env["DATABASE_URL"], dataFolder });
    const answers: Record<string, unknown>[][] = [];
    for (const sql of statements) answers.push(await other.records(sql));
    return answers;
  }
});
