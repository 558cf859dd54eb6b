/** Packages and bundles over the API: several kinds in one, each callable; what a package says for people. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AcceptedInstall, install, type PackedPlugin, packPlugin } from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { zipOf } from "../support/test-zip.ts";

let site: Site;
let berth: BerthProcess;
let plugin: PackedPlugin;
let installed: AcceptedInstall;
beforeAll(async () => {
  site = await openSite({ database: "postgres", env: { BERTH_PLATFORM_VERSION: "1.9.0" } });
  berth = await site.start();
  plugin = await packPlugin("seed-kinds");
  installed = await install(berth, plugin);
});
afterAll(() => site[Symbol.asyncDispose]());

describe("a seed package that offers four kinds", () => {
  async function ask(operation: string, body: Record<string, unknown>): Promise<readonly unknown[]> {
    const path = `/v1/tenants/${installed.tenant}/plugins/${plugin.pluginId}/invoke/${operation}`;
    const { items } = await berth.json<{ items: unknown[] }>(200, "POST", path, {
      body: { user_id: "u", ...body },
    });
    return items;
  }

  test("has one row per kind, of the same plugin and version", async () => {
    const tables = ["tool", "ai_model", "datasource", "agent_strategy", "trigger"];
    const found = await Promise.all(
      tables.map((table) =>
        site.rows(
          `SELECT plugin_id, plugin_unique_identifier, tenant_id::text, provider FROM ${table}_installations`,
        ),
      ),
    );
    const row = (provider: string) => [
      {
        plugin_id: plugin.pluginId,
        plugin_unique_identifier: plugin.identifier,
        tenant_id: installed.tenant,
        provider,
      },
    ];
    expect(found).toEqual([row("seed_kinds"), row("parrot"), row("shelf"), [], []]);
  });

  test("answers as a tool", async () => {
    const body = { provider: "seed_kinds", tool: "say", tool_parameters: { query: "ahoy" } };
    expect(await ask("tool/invoke_tool", body)).toMatchObject([
      { type: "text", message: { text: "said ahoy" } },
    ]);
  });

  test("answers as a model", async () => {
    const body = { provider: "parrot", model_type: "moderation", model: "any", text: "LAND" };
    expect(await ask("model/invoke_moderation", body)).toMatchObject([{ result: true }]);
  });

  test("answers as a datasource", async () => {
    const body = { provider: "shelf", datasource: "book", datasource_parameters: {} };
    const pages = await ask("datasource/invoke_online_document_datasource_get_pages", body);
    expect(pages).toMatchObject([{ result: [{ workspace_name: "Shelf" }] }]);
  });

  test("answers as an endpoint", async () => {
    const request = "POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    const items = await ask("endpoint/invoke_endpoint", {
      raw_http_request: Buffer.from(request).toString("hex"),
      settings: {},
    });
    expect(JSON.stringify(items)).toContain(Buffer.from("pong hi").toString("hex"));
  });
});

describe("a package", () => {
  const path = (what: string) => `/v1/packages/${plugin.identifier}${what}`;

  test("is shown with its category, the platform version that it needs, and a warning if the platform is older", async () => {
    const shown = await berth.json<{ warnings: string[] }>(200, "GET", path(""));
    expect(shown).toMatchObject({ category: "tool", minimum_dify_version: "99.0.0" });
    expect(shown.warnings).toContainEqual(expect.stringMatching(/99\.0\.0.*1\.9\.0/));
    const installation = await berth.json<{ warnings: string[] }>(
      200,
      "GET",
      `/v1/tenants/${installed.tenant}/installations/${installed.installationId}`,
    );
    expect(installation.warnings).toContainEqual(expect.stringMatching(/99\.0\.0.*1\.9\.0/));
  });

  test("shows its README in the requested language, and keeps one row per language", async () => {
    const languages = ["en_US", "zh_Hans"];
    for (let round = 0; round < 2; round += 1) {
      const asked = await Promise.all(
        ["zh_Hans", "ja_JP", "en_US"].map((language) =>
          berth.json(200, "GET", path(`/readme?language=${language}`)),
        ),
      );
      expect(asked).toMatchObject([
        { language: "zh_Hans", content: "# 种子\n", languages },
        { language: "en_US", content: "# Seed kinds\n", languages },
        { language: "en_US", content: "# Seed kinds\n", languages },
      ]);
    }
    const rows = await site.rows("SELECT language FROM plugin_readme_records ORDER BY language");
    expect(rows.map(({ language }) => language)).toEqual(languages);
    const refused = await berth.request("GET", path("/readme?language=../etc"));
    expect(refused.status).toBe(400);
  });

  test("shows its privacy notice", async () => {
    expect(await berth.json(200, "GET", path("/privacy"))).toMatchObject({
      file: "PRIVACY.md",
      content: "Nothing is kept.\n",
      url: null,
    });
  });

  test("serves its icon by the name in the declaration, with a content security policy that sandboxes it", async () => {
    const plain = await packPlugin("echo");
    await berth.json(201, "POST", "/v1/packages", { body: plain.bytes });
    const { declaration } = await berth.json<{ declaration: { icon: string } }>(
      200,
      "GET",
      `/v1/packages/${plain.identifier}`,
    );
    for (const name of [declaration.icon, "icon.svg"]) {
      const answer = await berth.request("GET", `/v1/packages/${plain.identifier}/assets/${name}`);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe("image/svg+xml");
      expect(answer.headers.get("content-security-policy")).toMatch(/sandbox/);
      expect(await answer.text()).toContain("<svg");
    }
    for (const name of ["absent.svg", "..%2Fmanifest.yaml"]) {
      const answer = await berth.request("GET", `/v1/packages/${plain.identifier}/assets/${name}`);
      expect([name, answer.status]).toEqual([name, 404]);
    }
  });
});

test("a bundle that is uploaded over the API returns its dependencies in order, with the manifests of its packages", async () => {
  const echo = await packPlugin("echo", { "main.py": (text) => `${text}\n# bundled\n` });
  const sum = echo.identifier.slice(-64);
  const manifest = {
    name: "set",
    author: "acme",
    version: "0.1.0",
    type: "bundle",
    icon: "i.svg",
    labels: { en_US: "Set" },
    description: { en_US: "A set" },
    dependencies: [
      { type: "github", value: { repo_pattern: "acme/near:1.0.0/near.difypkg" } },
      { type: "package", value: { path: sum } },
      { type: "marketplace", value: { marketplace_pattern: "acme/far:1.x.x" } },
    ],
  };
  const body = zipOf({ "manifest.yaml": JSON.stringify(manifest), [`_assets/${sum}`]: echo.bytes });
  const answer = await berth.json<{ identifier: string }>(201, "POST", "/v1/bundles", { body });
  expect(answer).toMatchObject({
    identifier: expect.stringMatching(/^acme\/set:0\.1\.0@[0-9a-f]{64}$/),
    dependencies: [
      {
        type: "github",
        value: {
          repo_address: expect.stringMatching(/\/acme\/near$/),
          repo: "acme/near",
          release: "1.0.0",
          packages: "near.difypkg",
        },
      },
      { type: "package", value: { unique_identifier: echo.identifier, manifest: { name: "echo" } } },
      { type: "marketplace", value: { organization: "acme", plugin: "far", version: "1.x.x" } },
    ],
  });
  expect(await berth.json(200, "POST", "/v1/bundles", { body })).toEqual(answer);
  expect(await berth.json(200, "GET", `/v1/bundles/${answer.identifier}`)).toEqual(answer);
  expect(await berth.json(200, "GET", "/v1/bundles")).toMatchObject({
    items: [{ identifier: answer.identifier }],
  });
  expect(await berth.json(200, "GET", `/v1/packages/${echo.identifier}`)).toMatchObject({ version: "0.0.1" });
  const refused = await berth.request("POST", "/v1/packages", { body });
  expect(await refused.json()).toMatchObject({
    error: { code: "manifest_invalid", details: { field: "type", value: "bundle" } },
  });
});
