import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { seedFiles, temporaryFolder, zipOf } from "../../../test/support/test-zip.ts";
import { isFault } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import { dependencySource, packageFiles } from "../package-files.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../read-package.ts";

interface Built {
  readonly pkg: Package;
  readonly image: ReadonlyMap<string, string>;
  readonly folders: readonly string[];
  readonly requirements: string;
}

async function build(files: Record<string, string>, uploadedAt = new Date(0)): Promise<Built> {
  await using folder = await temporaryFolder();
  const path = await folder.file("a.difypkg", zipOf(files));
  const pkg = await readPackage(path, uploadedAt, DEFAULT_READ_OPTIONS);
  const image = new Map<string, string>();
  const folders: string[] = [];
  for await (const file of packageFiles(path, pkg, DEFAULT_READ_OPTIONS)) {
    if (file.type === "folder") folders.push(file.path);
    else image.set(file.path, await text(file.content));
  }
  const source = await dependencySource(path, pkg, DEFAULT_READ_OPTIONS);
  const requirements = source.kind === "requirements" ? source.requirements.toString() : source.kind;
  return { pkg, image, folders, requirements };
}

describe("a package of the seed dialect", () => {
  it("has its own defaults for limits, sizes in MB", async () => {
    const { pkg } = await build(seedFiles());
    expect(pkg.limitsAsked).toEqual({
      memoryBytes: 256 * 1_048_576,
      memoryIsHard: true,
      storageBytes: 100 * 1_048_576,
      concurrencyMax: 10,
      timeoutMs: 30_000,
    });
    const asked = { memory: "512MiB", storage: 1, max_concurrent_requests: 3, timeout: "2m" };
    expect((await build(seedFiles({ resource: asked }))).pkg.limitsAsked).toEqual({
      memoryBytes: 512 * 1_048_576,
      memoryIsHard: true,
      storageBytes: 1_048_576,
      concurrencyMax: 3,
      timeoutMs: 120_000,
    });
  });

  it.each([
    ["memory", -1, "a whole number of MB from 16 to 65536"],
    [
      "memory",
      268435456,
      "a whole number of MB from 16 to 65536 (268435456 looks like bytes, that is 256 MB)",
    ],
    ["storage", 0, "a whole number of MB from 1 to 1048576"],
    ["max_concurrent_requests", 1.5, "a whole number of calls at a time from 1 to 10000"],
    [
      "timeout",
      30000,
      "a whole number of seconds from 1 to 3600 (30000 looks like milliseconds, that is 30 s)",
    ],
    ["timeout", "soon", "a whole number of seconds from 1 to 3600"],
  ])("with %s %j is refused with what is accepted", async (key, value, accepted) => {
    await expect(build(seedFiles({ resource: { [key]: value } }))).rejects.toMatchObject({
      code: "manifest_invalid",
      details: { file: "manifest.json", field: `resource.${key}`, value, accepted },
    });
  });

  it("has the files that the SDK requires in its image, and keeps its own files", async () => {
    const { pkg, image, folders, requirements } = await build(seedFiles());
    expect(pkg).toMatchObject({
      dialect: "seed",
      providers: [{ kind: "tool", name: "seedling" }],
      runner: { entrypoint: "_berth_launcher", version: "3.12" },
    });
    expect(folders).toEqual(["_assets", "_berth", "tools"]);
    expect(image.get("_assets/icon.svg")).toBe("<svg/>");
    expect(parse(image.get("manifest.yaml") ?? "")).toMatchObject({
      type: "plugin",
      plugins: { tools: ["_berth/provider.yaml"] },
      meta: { runner: { entrypoint: "_berth_launcher" } },
    });
    expect(parse(image.get("_berth/provider.yaml") ?? "")).toMatchObject({
      tools: ["tools/my_tool.yaml"],
      extra: { python: { source: "_berth/provider.py" } },
    });
    expect(parse(image.get("tools/my_tool.yaml") ?? "")).toMatchObject({
      identity: { author: "acme", name: "my_tool", label: { en_US: "my_tool" } },
      parameters: [{ name: "query", type: "string", form: "llm", label: { en_US: "query" } }],
      extra: { python: { source: "tools/my_tool.py" } },
    });
    expect(image.get("_berth_launcher.py")).toContain("dify_plugin.ToolInvokeMessage = ToolInvokeMessage");
    expect(requirements).toMatch(/^dify_plugin/);
  });

  it("becomes the same image whenever it is built from the stored package", async () => {
    const late = await build(seedFiles(), new Date("2026-01-01"));
    expect(late.pkg.declaration["created_at"]).toBe("2026-01-01T00:00:00Z");
    expect(parse(late.image.get("manifest.yaml") ?? "")).toMatchObject({
      created_at: expect.stringMatching(/^2026-01-01/),
    });
    expect(late.pkg.checksum).toBe((await build(seedFiles())).pkg.checksum);
  });

  it("adds the SDK to requirements that do not name it, and never to those that do", async () => {
    const requirements = async (written: string) =>
      (await build(seedFiles({}, { "requirements.txt": written }))).requirements;
    expect(await requirements("yarl\n")).toMatch(/^yarl\ndify_plugin>=/);
    expect(await requirements("yarl\ndify-plugin==0.7.1\n")).toBe("yarl\ndify-plugin==0.7.1\n");
  });

  it("lets pyproject.toml win over requirements.txt", async () => {
    expect(
      (await build(seedFiles({}, { "pyproject.toml": "[project]", "requirements.txt": "x" }))).requirements,
    ).toBe("pyproject");
    expect((await build(seedFiles({}, { "pyproject.toml": "[project]", "uv.lock": "" }))).requirements).toBe(
      "uv-lock",
    );
  });

  it.each([
    [{}, { "tools/my_tool.yaml": undefined }, "tools/my_tool.yaml", "plugins.tools[0]"],
    [{}, { "tools/my_tool.py": undefined }, "tools/my_tool.py", "plugins.tools[0]"],
    [{ plugins: { models: ["m"] } }, { "models/m.py": "" }, "models/m.yaml", "plugins.models[0]"],
    [{}, { "icon.svg": undefined }, "icon.svg", "icon"],
  ])(
    "without a file that it names is refused with the name of that file (%j, %j)",
    async (manifest, changes, missing, field) => {
      await expect(build(seedFiles(manifest, changes))).rejects.toMatchObject({
        code: "manifest_invalid",
        message: expect.stringContaining(missing),
        details: { file: "manifest.json", field },
      });
    },
  );

  it.each(["tools", "models", "endpoints", "datasources"])(
    "without the YAML of an entry of %s is refused with a template that is then accepted",
    async (list) => {
      const python = { [`${list}/my-part.py`]: "" };
      const manifest = { plugins: { [list]: ["my-part"] } };
      const refused: unknown = await build(seedFiles(manifest, python)).catch((error: unknown) => error);
      expect(refused).toMatchObject({
        code: "manifest_invalid",
        message: expect.stringContaining(`${list}/my-part.yaml is missing`),
        details: { missing: `${list}/my-part.yaml`, template: expect.any(String) },
      });
      const template = isFault(refused) ? String(refused.details?.["template"]) : "";
      expect(String(refused)).toContain(template);
      const mended = await build(seedFiles(manifest, { ...python, [`${list}/my-part.yaml`]: template }));
      expect(mended.pkg.providers).toHaveLength(1);
      expect(mended.pkg.warnings).toEqual([]);
    },
  );

  it("with a category that does not match its entries is refused with both categories", async () => {
    await expect(build(seedFiles({ category: "model" }))).rejects.toMatchObject({
      details: { field: "category", value: "model", accepted: expect.stringMatching(/^tool/) },
    });
  });

  it("may offer several kinds of providers", async () => {
    const { pkg } = await build(
      seedFiles(
        { plugins: { tools: ["my_tool"], endpoints: ["hello"] } },
        { "endpoints/hello.yaml": "path: /hello\nmethod: GET\n", "endpoints/hello.py": "" },
      ),
    );
    expect(pkg.providers.map(({ kind }) => kind)).toEqual(["tool", "endpoint"]);
    expect(pkg.declaration["endpoint"]).toEqual({
      settings: [],
      endpoints: [{ path: "/hello", method: "GET", hidden: false }],
    });
  });

  it("accepts true for a permission", async () => {
    const resource = { permission: { tool: true, storage: true, node: { enabled: false } } };
    const { pkg } = await build(seedFiles({ resource }));
    expect(pkg.declaration["resource"]).toMatchObject({
      permission: {
        tool: { enabled: true },
        node: { enabled: false },
        storage: { enabled: true, size: 104857600 },
      },
    });
  });
});
