/** Installs from a marketplace, a release and a URL, over the API. */
import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  aTenant,
  type ErrorJson,
  eventually,
  follow,
  type InstallationJson,
  type PackedPlugin,
  packVersion,
  type TaskJson,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { ON_POSTGRES, openSite, type Site } from "../harness/rigs/site.ts";
import { makeAuthority } from "../harness/servers/authority.ts";
import {
  file,
  json,
  redirect,
  type SourceServer,
  sha256,
  startSourceServer,
  status,
} from "../harness/servers/source-server.ts";

const MARKETPLACE = "/api/v1/plugins/download";
const SECRETS = ["market-token-hush", "github-token-hush", "signature-hush"];

interface Answer {
  readonly installation: (InstallationJson & { source: string; meta: object }) | null;
  readonly task: TaskJson & { kind: string; parent_id: string | null; identifier: string | null };
  readonly created: boolean;
}

describe.each(ON_POSTGRES)("on $database", ({ database }) => {
  const scope = new Scope();
  let site: Site;
  let berth: BerthProcess;
  let server: SourceServer;
  let secure: SourceServer;
  /** One for all installs, so that its image is built once. */
  let plugin: PackedPlugin;
  beforeAll(async () => {
    plugin = await packVersion("echo", "3.0.0");
    const authority = scope.use(await makeAuthority());
    server = scope.use(await startSourceServer());
    secure = scope.use(await startSourceServer({ certificate: await authority.issue(["IP:127.0.0.1"]) }));
    const env = {
      BERTH_CA_BUNDLE: authority.caFile,
      BERTH_MARKETPLACE_URL: server.url,
      BERTH_MARKETPLACE_TOKEN: SECRETS[0] ?? "",
      BERTH_GITHUB_URL: server.url,
      BERTH_GITHUB_API_URL: `${server.url}/api/v3/`,
      BERTH_GITHUB_TOKEN: SECRETS[1] ?? "",
      BERTH_SOURCE_PRIVATE_NETWORKS: "127.0.0.1",
      BERTH_INSTALL_RETRY_SECONDS: "0.05",
      BERTH_LOG_LEVEL: "debug",
    };
    site = scope.use(await openSite({ database, env }));
    berth = await site.start();
  });
  afterAll(() => scope.close());
  beforeEach(() => server.on(MARKETPLACE, status(404)));

  const path = (tenant: string) => `/v1/tenants/${tenant}/installations`;
  const ask = (
    tenant: string,
    body: object,
    options: { key?: string; headers?: Record<string, string> } = {},
  ) => berth.json<Answer>(202, "POST", path(tenant), { body, ...options });
  const market = ({ identifier }: Pick<PackedPlugin, "identifier">) => ({
    source: { type: "marketplace", identifier },
  });
  const installedOf = async (tenant: string) =>
    (await berth.json<{ items: NonNullable<Answer["installation"]>[] }>(200, "GET", path(tenant))).items;
  const keyOf = async (tenant: string) =>
    (
      await berth.json<{ key: string }>(201, "POST", "/v1/keys", {
        body: { name: "t", tenant_id: tenant },
      })
    ).key;
  const failing = async (tenant: string, body: object) => {
    const { task } = await ask(tenant, body);
    const events = await follow(berth, { tenant, taskId: task.id });
    expect(events.at(-1)).toMatchObject({ type: "end", state: "failed" });
    return { cause: events.at(-1)?.cause as ErrorJson, events };
  };
  /** Folders of downloads that are under way. */
  const downloads = () => readdir(join(site.dataFolder, "fetches")).catch(() => []);

  test("a package of the marketplace is fetched by a task, installed by a child task, and fetched once for all tenants", async () => {
    server.on(MARKETPLACE, file(plugin.bytes));
    const tenant = aTenant();
    const before = server.count(MARKETPLACE);
    const [one, two] = await Promise.all([ask(tenant, market(plugin)), ask(tenant, market(plugin))]);
    expect(one).toMatchObject({ installation: null, task: { kind: "fetch", parent_id: null } });
    expect(two.task.id).toBe(one.task.id);
    const events = await follow(berth, { tenant, taskId: one.task.id });
    expect(events.at(-1)).toMatchObject({ type: "end", state: "ready" });
    expect(events.flatMap(({ type, step }) => (type === "step" ? [step] : []))).toEqual([
      ...["queued", "fetching", "verifying", "resolving", "ready"],
    ]);
    const { length } = plugin.bytes;
    expect(events).toContainEqual(
      expect.objectContaining({ message: "downloading", done: length, total: length }),
    );

    const [installation] = await installedOf(tenant);
    expect(installation).toMatchObject({
      identifier: plugin.identifier,
      state: "ready",
      source: "marketplace",
      meta: { plugin_unique_identifier: plugin.identifier },
    });
    const { items } = await berth.json<{ items: Answer["task"][] }>(
      200,
      "GET",
      `/v1/tenants/${tenant}/tasks`,
    );
    expect(items.map(({ kind, parent_id }) => [kind, parent_id])).toEqual([
      ["install", one.task.id],
      ["fetch", null],
    ]);
    expect(
      await toolTexts(berth, {
        tenant,
        pluginId: plugin.pluginId,
        tool: "echo",
        parameters: { text: "aye" },
      }),
    ).toEqual(["aye"]);

    const other = aTenant();
    const key = await keyOf(other);
    const second = await ask(other, market(plugin), { key });
    expect(second).toMatchObject({ installation: { source: "marketplace" }, task: { kind: "install" } });
    expect((await follow(berth, { tenant: other, taskId: second.task.id })).at(-1)).toMatchObject({
      state: "ready",
    });
    expect(server.count(MARKETPLACE)).toBe(before + 1);
    expect(await downloads()).toEqual([]);
  });

  test("the asset of a private release is fetched with the token, and the installation shows its release", async () => {
    const release = { type: "github", repo: "acme/echo", release: "v3.1.0", asset: "echo.difypkg" };
    server.on(
      "/api/v3/repos/acme/echo/releases/tags/v3.1.0",
      json({ assets: [{ id: 9, name: "echo.difypkg" }] }),
    );
    server.on("/api/v3/repos/acme/echo/releases/assets/9", redirect(`${secure.url}/stored`));
    secure.on("/stored", file(plugin.bytes));
    const tenant = aTenant();
    const { task } = await ask(tenant, { source: release });
    expect((await follow(berth, { tenant, taskId: task.id })).at(-1)).toMatchObject({ state: "ready" });
    expect(await installedOf(tenant)).toMatchObject([
      { source: "github", meta: { repo: "acme/echo", version: "v3.1.0", package: "echo.difypkg" } },
    ]);
    expect(secure.asked.at(-1)).toMatchObject({ path: "/stored" });
    expect(secure.asked.at(-1)?.headers.authorization).toBeUndefined();
    expect(await berth.json(200, "GET", `/v1/tenants/${tenant}/tasks/${task.id}`)).toMatchObject({
      identifier: plugin.identifier,
    });
  });

  test("a download continues from its last byte after Berth is killed during it", async () => {
    const [etag, half] = ['"one"', Math.floor(plugin.bytes.length / 2)];
    secure.on("/echo", file(plugin.bytes, { etag, hangAfter: half }), file(plugin.bytes, { etag }));
    const tenant = aTenant();
    const url = `${secure.url}/echo?signature=${SECRETS[2]}`;
    const source = { type: "url", url, sha256: sha256(plugin.bytes).toUpperCase() };
    const { task } = await ask(tenant, { source });
    await eventually(async () => {
      const events = `/v1/tenants/${tenant}/tasks/${task.id}/events`;
      const { items } = await berth.json<{ items: { done?: number }[] }>(200, "GET", events);
      return items.some(({ done }) => done === half) ? true : undefined;
    });
    await berth.kill("SIGKILL");
    berth = await site.start();
    expect((await follow(berth, { tenant, taskId: task.id })).at(-1)).toMatchObject({ state: "ready" });
    expect(secure.asked.slice(-2).map(({ headers }) => headers.range)).toEqual([undefined, `bytes=${half}-`]);
    expect(await installedOf(tenant)).toMatchObject([
      { source: "url", meta: { url: `${secure.url}/echo`, sha256: sha256(plugin.bytes) } },
    ]);
    expect(await downloads()).toEqual([]);
  });

  test("transient failures are retried and reported; a rate limit waits for its retry-after time", async () => {
    const { identifier } = await packVersion("echo", "9.9.9");
    const limited = status(429, { "retry-after": "1" });
    const refused = status(403);
    server.on(MARKETPLACE, limited, refused);
    const { cause, events } = await failing(aTenant(), market({ identifier }));
    expect(cause).toMatchObject({ code: "source_forbidden" });
    expect(events.filter(({ type }) => type === "retry")).toMatchObject([
      { step: "fetching", cause: { code: "source_rate_limited", details: { retry_at: expect.any(String) } } },
    ]);
    const delays = events.flatMap((event) => (event.type === "retry" ? [Reflect.get(event, "delayMs")] : []));
    expect(delays[0]).toBeGreaterThan(500);
  });

  test("a download that is not the requested package is refused and leaves nothing behind", async () => {
    const [asked, given] = [await packVersion("echo", "4.0.0"), await packVersion("echo", "4.0.1")];
    server.on(MARKETPLACE, file(given.bytes));
    const tenant = aTenant();
    const mismatch = await failing(tenant, market(asked));
    expect(mismatch.cause).toMatchObject({
      code: "source_digest_mismatch",
      details: { value: asked.identifier, found: given.identifier },
    });
    secure.on("/echo", file(given.bytes));
    const url = { type: "url", url: `${secure.url}/echo`, sha256: sha256(asked.bytes) };
    expect((await failing(tenant, { source: url })).cause).toMatchObject({ code: "source_digest_mismatch" });
    secure.on("/none", file(Buffer.from("no archive")));
    const none = { type: "url", url: `${secure.url}/none`, sha256: sha256(Buffer.from("no archive")) };
    expect((await failing(tenant, { source: none })).cause).toMatchObject({ code: "package_not_zip" });
    for (const { identifier } of [asked, given])
      expect((await berth.request("GET", `/v1/packages/${identifier}`)).status).toBe(404);
    expect(await installedOf(tenant)).toEqual([]);
    expect(await downloads()).toEqual([]);
  });

  test("a redirect into the operator's network fails as source_address_refused", async () => {
    server.on(MARKETPLACE, redirect("http://169.254.169.254/latest/meta-data"));
    const other = await packVersion("echo", "4.1.0");
    expect((await failing(aTenant(), market(other))).cause).toMatchObject({
      code: "source_address_refused",
      details: { value: "169.254.169.254" },
    });
  });

  test("a tenant that knows the identifier of another tenant's own package cannot install it", async () => {
    const own = await packVersion("echo", "4.2.0");
    await upload(berth, own);
    const tenant = aTenant();
    const answer = await ask(tenant, market(own), { key: await keyOf(tenant) });
    expect(answer).toMatchObject({ installation: null, task: { kind: "fetch" } });
    const end = (await follow(berth, { tenant, taskId: answer.task.id })).at(-1);
    expect(end).toMatchObject({ state: "failed", cause: { code: "source_not_found" } });
  });

  test("an Idempotency-Key returns the first answer even when the package is stored, and refuses another body", async () => {
    const tenant = aTenant();
    server.on(MARKETPLACE, file(plugin.bytes));
    const headers = { "idempotency-key": randomUUID() };
    const first = await ask(tenant, market(plugin), { headers });
    expect((await follow(berth, { tenant, taskId: first.task.id })).at(-1)).toMatchObject({ state: "ready" });
    expect((await ask(tenant, market(plugin), { headers })).task.id).toBe(first.task.id);
    const body = { source: { type: "marketplace", identifier: plugin.identifier.replace("3.0.0", "3.0.9") } };
    const other = await berth.request("POST", path(tenant), { body, headers });
    expect(other.status).toBe(409);
    expect(await other.json()).toMatchObject({ error: { code: "idempotency_mismatch" } });
  });

  test.each([
    [{}, "body"],
    [{ identifier: "a", source: { type: "marketplace", identifier: `a/b:1.0.0@${"0".repeat(64)}` } }, "body"],
    [{ source: { type: "ftp" } }, "source.type"],
    [{ source: { type: "marketplace", identifier: "echo" } }, "source.identifier"],
    [{ source: { type: "github", repo: "acme", release: "1", asset: "a" } }, "source.repo"],
    [{ source: { type: "url", url: "http://a.example/", sha256: "0".repeat(64) } }, "source.url"],
    [{ source: { type: "url", url: "https://a.example/", sha256: "0" } }, "source.sha256"],
    [{ source: { type: "url", url: "https://a.example/", sha256: "0".repeat(64), more: 1 } }, "source.more"],
  ])("%j is refused with the field %s", async (body, field) => {
    const answer = await berth.request("POST", path(aTenant()), { body });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code: "invalid_input", details: { field } } });
  });

  test("no token and no signature of a URL appears in the log", () => {
    const text = JSON.stringify(berth.log);
    expect(text).toContain("task.fetch");
    for (const secret of SECRETS) expect(text).not.toContain(secret);
  });
});
