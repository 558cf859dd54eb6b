/** Wrong input: each refusal says which field, what it held and what is accepted, and leaves nothing. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AcceptedInstall,
  aTenant,
  type ErrorJson,
  failInstall,
  install,
  type PackedPlugin,
  packPlugin,
} from "../harness/clients/client.ts";
import type { BerthProcess, RequestOptions } from "../harness/rigs/berth.ts";
import { ON_POSTGRES, openSite, type Site } from "../harness/rigs/site.ts";
import { seedFiles, zipOf } from "../support/test-zip.ts";

describe.each(ON_POSTGRES)("on $database", ({ database }) => {
  let site: Site;
  let berth: BerthProcess;
  let echo: AcceptedInstall;
  beforeAll(async () => {
    const env = {
      BERTH_PACKAGE_MB_MAX: "1",
      BERTH_PLUGIN_FRAME_MB_MAX: "1",
      BERTH_START_SECONDS_MAX: "5",
      BERTH_START_BUSY_SECONDS_MAX: "5",
    };
    site = await openSite({ database, env });
    berth = await site.start();
    echo = await install(berth, await packPlugin("echo"));
  });
  afterAll(() => site[Symbol.asyncDispose]());

  async function refused(method: string, path: string, options: RequestOptions = {}): Promise<Refusal> {
    const response = await berth.request(method, path, options);
    const { error } = (await response.json()) as { error: ErrorJson };
    return { status: response.status, ...error };
  }

  describe("an upload is refused and not stored if it", () => {
    test.each<[string, () => Uint8Array, RefusalMatch]>([
      ["is not a zip", () => Buffer.from("not a zip at all"), { status: 400, code: "package_not_zip" }],
      ["is empty", () => Buffer.alloc(0), { status: 400, code: "package_not_zip" }],
      [
        "has no manifest",
        () => zipOf({ "main.py": "" }),
        {
          status: 400,
          code: "manifest_missing",
          details: { field: "file", accepted: "manifest.yaml or manifest.json at the root" },
        },
      ],
      [
        "asks for memory of -1",
        () => seedZip({ resource: { memory: -1 } }),
        {
          status: 400,
          code: "manifest_invalid",
          details: {
            file: "manifest.json",
            field: "resource.memory",
            value: -1,
            accepted: expect.stringMatching(/1/),
          },
        },
      ],
      [
        "names a tool whose YAML file is missing",
        () => seedZip({ plugins: { tools: ["my_tool", "absent"] } }),
        {
          status: 400,
          code: "manifest_invalid",
          details: { file: "manifest.json", value: expect.stringContaining("absent") },
        },
      ],
      [
        "contains a path outside its folder",
        () => zipOf({ "manifest.yaml": "version: 0.0.1", "../evil": "x" }),
        { status: 400, code: "package_unsafe" },
      ],
      [
        "is over the limit",
        () => Buffer.alloc((1 << 20) + 1),
        { status: 413, code: "payload_too_large", details: { accepted: "at most 1048576 bytes" } },
      ],
    ])("%s", async (_name, body, expected) => {
      const before = await kept();
      expect(await refused("POST", "/v1/packages", { body: body() })).toMatchObject(expected);
      expect(await kept()).toEqual(before);
    });

    test("has a wrong content type", async () => {
      const headers = { "content-type": "text/html" };
      expect(await refused("POST", "/v1/packages", { body: "<p>", headers })).toMatchObject({
        status: 415,
        code: "unsupported_media_type",
        details: { field: "Content-Type", value: "text/html" },
      });
    });
  });

  describe("an install fails with its cause, and leaves only its task, if the package", () => {
    async function fails(plugin: PackedPlugin) {
      const images = (await site.images()).map(({ id }) => id).sort();
      const failed = await failInstall(berth, plugin);
      const containers = await site.containers();
      expect(containers.filter(({ labels }) => labels["berth.tenant"] === failed.tenant)).toEqual([]);
      expect(await site.containers("build")).toEqual([]);
      const path = `/v1/tenants/${failed.tenant}/tasks/${failed.taskId}`;
      expect(await berth.json(200, "GET", path)).toMatchObject({ state: "failed", cause: failed.cause });
      return { ...failed, imagesBefore: images };
    }

    test("has a requirement that does not exist", async () => {
      const name = "berth-has-never-heard-of-this";
      const plugin = await packPlugin("echo", {
        "requirements.txt": `${name}==9.9.9\n`,
        "manifest.yaml": (text) => text.replace(/^version: .*/m, "version: 7.0.0"),
      });
      const { cause, imagesBefore } = await fails(plugin);
      expect(cause).toMatchObject({
        code: "dependency_unresolvable",
        details: { field: "requirements.txt", value: expect.stringContaining(name) },
      });
      expect((await site.images()).map(({ id }) => id).sort()).toEqual(imagesBefore);
    });

    test("crashes at its import", async () => {
      const { cause } = await fails(await packPlugin("crash-at-import"));
      expect(cause).toMatchObject({ code: "start_crashed", details: { exitCode: 1 } });
      expect(JSON.stringify(cause.details?.["logs"])).toContain("a_module_that_nobody_ships");
    });

    test("never becomes ready", async () => {
      expect((await fails(await packPlugin("never-ready"))).cause).toMatchObject({ code: "start_timeout" });
    });
  });

  describe("a request is refused", () => {
    const installations = (tenant: string) => `/v1/tenants/${tenant}/installations`;
    const invoke = (tenant = echo.tenant, plugin = "berth-tests/echo") =>
      `/v1/tenants/${tenant}/plugins/${plugin}/invoke_tool`;
    const call = { user_id: "u", provider: "echo", tool_name: "echo", tool_parameters: {} };

    test("for a tenant that is not a UUID", async () => {
      const details = { field: "tenant", value: "acme", accepted: "a UUID" };
      for (const refusal of [
        await refused("POST", installations("acme"), { body: { identifier: "a/b:1.0.0@0" } }),
        await refused("POST", invoke("acme"), { body: call }),
      ]) {
        expect(refusal).toMatchObject({ status: 400, code: "invalid_input", details });
      }
    });

    test("for a package that was not uploaded, and leaves no task and no installation", async () => {
      const tenant = aTenant();
      const identifier = `nobody/nothing:1.0.0@${"0".repeat(64)}`;
      expect(await refused("POST", installations(tenant), { body: { identifier } })).toMatchObject({
        status: 404,
        code: "package_not_found",
        message: expect.stringContaining(identifier),
      });
      expect(await berth.json(200, "GET", `/v1/tenants/${tenant}/tasks`)).toMatchObject({ items: [] });
      expect(await berth.json(200, "GET", installations(tenant))).toMatchObject({ items: [] });
    });

    test.each<[string, Readonly<Record<string, string>>, string, string]>([
      ["plugin", { plugin: "berth-tests/none" }, "installation_not_found", "berth-tests/none"],
      ["provider", { provider: "none" }, "provider_not_found", "none"],
      ["tool", { tool_name: "none" }, "tool_not_found", "none"],
    ])("for an unknown %s", async (_name, { plugin, ...changes }, code, value) => {
      const refusal = await refused("POST", invoke(echo.tenant, plugin), { body: { ...call, ...changes } });
      expect(refusal).toMatchObject({ status: 404, code, details: { value } });
      const accepted = JSON.stringify(refusal.details?.["accepted"]);
      expect(accepted).toContain("echo");
    });

    test("for invalid JSON", async () => {
      const headers = { "content-type": "application/json" };
      for (const path of [installations(echo.tenant), invoke()]) {
        expect(await refused("POST", path, { body: '{"user_id": ', headers })).toMatchObject({
          status: 400,
          code: "invalid_json",
        });
      }
    });

    test("for a content type that is not JSON", async () => {
      const headers = { "content-type": "text/plain" };
      for (const path of [installations(echo.tenant), invoke()]) {
        expect(await refused("POST", path, { body: "{}", headers })).toMatchObject({
          status: 415,
          code: "unsupported_media_type",
          details: { field: "Content-Type", value: "text/plain" },
        });
      }
    });

    test("for a body over the limit", async () => {
      const body = { ...call, tool_parameters: { text: "x".repeat((1 << 20) + 1) } };
      for (const path of [installations(echo.tenant), invoke()]) {
        expect(await refused("POST", path, { body })).toMatchObject({
          status: 413,
          code: "payload_too_large",
          details: { accepted: expect.stringContaining("1048576") },
        });
      }
    });

    test("for a wrong key and for a missing key", async () => {
      for (const authorization of ["Bearer wrong", ""]) {
        for (const path of [installations(echo.tenant), invoke()]) {
          const refusal = await refused("POST", path, { body: call, headers: { authorization } });
          expect(refusal).toMatchObject({ status: 401, code: "unauthorized" });
        }
      }
    });

    test("for a tenant's key on another tenant", async () => {
      const body = { name: "theirs", tenant_id: aTenant() };
      const { key } = await berth.json<{ key: string }>(201, "POST", "/v1/keys", { body });
      for (const [path, sent] of [
        [installations(echo.tenant), { identifier: "a/b:1.0.0@0" }],
        [invoke(), call],
      ] as const) {
        expect(await refused("POST", path, { key, body: sent })).toMatchObject({
          status: 403,
          code: "forbidden",
        });
      }
    });
  });

  /** Everything that an upload could leave: rows, archives, files on their way. */
  async function kept(): Promise<unknown> {
    const { items } = await berth.json<{ items: unknown[] }>(200, "GET", "/v1/packages?limit=200");
    const files = await readdir(join(site.dataFolder, "storage/plugin_packages"), { recursive: true });
    return { items, files: files.sort() };
  }
});

function seedZip(manifest: Readonly<Record<string, unknown>>): Buffer {
  return zipOf(seedFiles(manifest));
}

interface Refusal extends ErrorJson {
  readonly status: number;
}
type RefusalMatch = { readonly status: number; readonly code: string; readonly details?: object };
