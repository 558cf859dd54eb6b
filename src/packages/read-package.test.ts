import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { length } from "../../test/harness/samples/lengths.ts";
import { REAL_MANIFEST, realFiles, seedFiles, temporaryFolder, zipOf } from "../../test/support/test-zip.ts";
import { isFault } from "../domain/fault.ts";
import type { Package } from "../domain/package.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "./read-package.ts";

const uploadedAt = new Date("2026-01-02T03:04:05.678Z");

async function read(files: Record<string, string>): Promise<Package> {
  await using folder = await temporaryFolder();
  return await readPackage(await folder.file("a.difypkg", zipOf(files)), uploadedAt, DEFAULT_READ_OPTIONS);
}

const manifest = (from: string | RegExp, to: string) =>
  realFiles({ "manifest.yaml": REAL_MANIFEST.replace(from, to) });

describe("a package of the real dialect", () => {
  it("is read with every key of the declaration in its place", async () => {
    const pkg = await read(realFiles());
    expect(pkg).toMatchObject({
      identifier: `acme/echo:0.0.1@${pkg.checksum}`,
      pluginId: "acme/echo",
      dialect: "real",
      providers: [{ kind: "tool", name: "echo" }],
      runner: { language: "python", version: "3.12", entrypoint: "main", arch: ["amd64"] },
      limitsAsked: { memoryBytes: 1_048_576, memoryIsHard: false },
      warnings: [],
    });
    expect(Object.keys(pkg.declaration)).toEqual(
      "version type author name label description icon icon_dark resource plugins meta tags created_at verified tool".split(
        " ",
      ),
    );
    const icon = "21acddfae829fa1f96934f4c3e956931144de514f302edb95e8323e6c84d844b.svg";
    expect(pkg.declaration).toMatchObject({
      label: { en_US: "Echo" },
      icon,
      icon_dark: "",
      plugins: { tools: ["provider/echo.yaml"], models: null },
      meta: { minimum_dify_version: "1.7.0" },
      tags: [],
      created_at: "2025-01-02T03:04:05.6Z",
      verified: false,
    });
    expect(pkg.declaration["tool"]).toEqual({
      identity: {
        author: "acme",
        name: "echo",
        description: { en_US: "Repeats" },
        icon,
        icon_dark: "",
        label: { en_US: "Echo" },
        tags: [],
      },
      credentials_schema: [
        {
          name: "api_key",
          type: "secret-input",
          scope: null,
          required: true,
          default: null,
          options: null,
          multiple: false,
          label: { en_US: "Key" },
          help: null,
          url: null,
          placeholder: null,
        },
      ],
      oauth_schema: null,
      tools: [
        {
          identity: { author: "acme", name: "echo", label: { en_US: "Echo" } },
          description: { human: { en_US: "Repeats" }, llm: "Repeats" },
          parameters: [
            {
              name: "language",
              label: { en_US: "Language" },
              human_description: { en_US: "Language" },
              type: "select",
              scope: null,
              form: "form",
              llm_description: "",
              required: false,
              auto_generate: null,
              template: null,
              default: "no",
              min: null,
              max: null,
              multiple: false,
              precision: null,
              options: [
                { value: "no", label: { en_US: "Norwegian" }, icon: "" },
                { value: "0", label: { en_US: "None" }, icon: "" },
              ],
            },
          ],
          has_runtime_parameters: false,
        },
      ],
    });
  });

  it("gets a warning for what a stricter reader would refuse", async () => {
    const pkg = await read(manifest("memory: 1048576", "memory: 256"));
    expect(pkg.limitsAsked.memoryBytes).toBe(256);
    expect(pkg.warnings).toEqual([
      "manifest.yaml: resource.memory: is 256, which looks like MB and is read as bytes",
    ]);
    const odd = await read(manifest("author: acme", "author: acme\ntags: [cooking]"));
    expect(odd.warnings[0]).toMatch(/tags\[0\]: is "cooking"; expected one of search/);
  });

  it.each([
    ["memory: 1048576", "memory: -1", "resource.memory", -1],
    ["memory: 1048576", 'memory: "256"', "resource.memory", "256"],
    ["author: acme", "author: Acme", "author", "Acme"],
    ["author: acme", "author: 0b1f5a9e-1111-4222-8333-444455556666", "author", expect.any(String)],
    ["name: echo", "name: é", "name", "é"],
    ["version: 0.0.1", "version: one", "version", "one"],
    ["label: { en_US: Echo, zh_Hant: dropped }", "label: Echo", "label", "Echo"],
    ["created_at: 2025-01-02 03:04:05.600", "created_at: yesterday", "created_at", "yesterday"],
    ["created_at: 2025-01-02 03:04:05.600", "created_at: 2025-02-30", "created_at", "2025-02-30"],
    ["plugins: { tools: [provider/echo.yaml] }", "plugins: {}", "plugins", null],
    ["tools: [provider/echo.yaml]", "tools: [provider/echo.yaml, b.yaml]", "plugins.tools[1]", "b.yaml"],
    ["language: python", "language: go", "meta.runner.language", "go"],
    ["entrypoint: main", 'entrypoint: "os; x"', "meta.runner.entrypoint", "os; x"],
    [
      "tools: [provider/echo.yaml]",
      "tools: [provider/echo.yaml], models: [provider/echo.yaml]",
      expect.any(String),
      expect.anything(),
    ],
  ])("with %s changed to %s is refused with field and value", async (from, to, field, value) => {
    await expect(read(manifest(from, to))).rejects.toMatchObject({
      code: "manifest_invalid",
      details: { file: "manifest.yaml", field, value, accepted: expect.any(String) },
    });
  });

  it.each([
    ["provider/echo.yaml", "manifest.yaml", "plugins.tools[0]"],
    ["tools/echo.yaml", "provider/echo.yaml", "tools[0]"],
    ["_assets/icon.svg", "manifest.yaml", "icon"],
  ])("without %s is refused with the name of the missing file", async (missing, file, field) => {
    await expect(read(realFiles({ [missing]: undefined }))).rejects.toMatchObject({
      code: "manifest_invalid",
      message: expect.stringContaining(missing),
      details: { file, field, missing },
    });
  });

  it("may contain an anchor, a merge key and a quoted line that is not indented", async () => {
    const provider = realFiles()["provider/echo.yaml"] ?? "";
    const yaml = `base: &base { author: acme, icon: icon.svg, label: { en_US: "Two\nlines" } }\nidentity: { <<: *base, name: other }\n${provider.slice(provider.indexOf("\n"))}`;
    const pkg = await read(realFiles({ "provider/echo.yaml": yaml }));
    expect(pkg.declaration["tool"]).toMatchObject({
      identity: { author: "acme", name: "other", label: { en_US: "Two lines" } },
    });
  });

  it("is refused if aliases multiply or lists nest without end", { timeout: 60_000 }, async () => {
    let bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (let level = 1; level < 9; level += 1) {
      bomb += `a${level}: &a${level} [${Array(10)
        .fill(`*a${level - 1}`)
        .join(", ")}]\n`;
    }
    const output = "output_schema: *a8\n";
    const tool = `${bomb}${output.replace("*a8", "{ x: *a8 }")}${realFiles()["tools/echo.yaml"]}`;
    for (const text of [
      tool,
      "[".repeat(5_000),
      `output_schema: { a: ${"[".repeat(200)}${"]".repeat(200)} }`,
    ]) {
      const files = realFiles({ "tools/echo.yaml": text });
      await expect(read(files)).rejects.toMatchObject({ code: "manifest_invalid" });
    }
  });
});

describe("the choice of dialect", () => {
  it("refuses a package without a manifest", async () => {
    await expect(read({ "main.py": "" })).rejects.toMatchObject({ code: "manifest_missing" });
  });

  it("reads sizes in JSON with real markers as bytes, with a warning", async () => {
    const json = JSON.stringify({
      version: "1.0.0",
      type: "plugin",
      author: "acme",
      name: "echo",
      label: { en_US: "e" },
      description: { en_US: "e" },
      created_at: "2025-01-01T00:00:00Z",
      resource: { memory: 268435456 },
      plugins: { tools: ["provider/echo.yaml"] },
    });
    const pkg = await read(realFiles({ "manifest.yaml": undefined, "manifest.json": json }));
    expect(pkg).toMatchObject({
      dialect: "real",
      limitsAsked: { memoryBytes: 268435456, memoryIsHard: false },
    });
    expect(pkg.warnings[0]).toMatch(/sizes in bytes/);
  });

  it("refuses markers of both dialects unless the manifest states one", async () => {
    const mixed = { type: "plugin", category: "tool" };
    await expect(read(seedFiles(mixed))).rejects.toMatchObject({
      details: { field: "dialect", value: "both: type and category, plugins.tools[0]" },
    });
    expect(await read(seedFiles({ ...mixed, dialect: "seed" }))).toMatchObject({ dialect: "seed" });
  });

  it("reads the real manifest if both exist and name the same package", async () => {
    const seed = (version: string) => JSON.stringify({ author: "acme", name: "echo", version });
    expect(await read(realFiles({ "manifest.json": seed("0.0.1") }))).toMatchObject({ dialect: "real" });
    await expect(read(realFiles({ "manifest.json": seed("0.0.2") }))).rejects.toMatchObject({
      details: { file: "manifest.json", field: "version", value: "0.0.2" },
    });
  });
});

describe("any manifest", { timeout: 60_000 }, () => {
  const scalar = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constantFrom(null, "my_tool", "provider/echo.yaml", "plugin", "256MB", "-1", "icon.svg"),
  );
  const value = fc.oneof(
    scalar,
    fc.array(scalar, { maxLength: 3 }),
    fc.dictionary(fc.string(), scalar, { maxKeys: 3 }),
  );
  const keys = [
    "version",
    "author",
    "name",
    "label",
    "icon",
    "resource",
    "plugins",
    "meta",
    "tags",
    "created_at",
    "type",
    "category",
    "dialect",
    "description",
  ];
  const changes = fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 4 });

  async function outcome(files: Record<string, string>): Promise<void> {
    try {
      expect((await read(files)).identifier).toMatch(/@[0-9a-f]{64}$/);
    } catch (failure) {
      const named = isFault(failure) && ["manifest_invalid", "identifier_too_long"].includes(failure.code);
      expect(named, String(failure)).toBe(true);
    }
  }

  it("of the seed dialect becomes a package or a named fault", async () => {
    await fc.assert(
      fc.asyncProperty(changes, (changed) => outcome(seedFiles(changed))),
      { numRuns: length({ short: 60, soak: 1200 }) },
    );
  });

  it("of the real dialect becomes a package or a named fault", async () => {
    const yaml = (changed: Record<string, unknown>) => {
      const base: Record<string, unknown> = {
        type: "plugin",
        version: "1.0.0",
        author: "acme",
        name: "echo",
        label: { en_US: "e" },
        icon: "icon.svg",
        resource: { memory: 1 },
        plugins: { tools: ["provider/echo.yaml"] },
      };
      return JSON.stringify({ ...base, ...changed });
    };
    await fc.assert(
      fc.asyncProperty(changes, (changed) => outcome(realFiles({ "manifest.yaml": yaml(changed) }))),
      { numRuns: length({ short: 60, soak: 1200 }) },
    );
  });

  it("of any text becomes a package or a named fault", async () => {
    const text = fc.array(
      fc.constantFrom(
        "a",
        ": ",
        "- ",
        "\n",
        "  ",
        "'",
        '"',
        "&x ",
        "*x",
        "{",
        "}",
        "[",
        "]",
        "|",
        "<<",
        "!",
        "#",
        "\t",
        "?",
        "%",
        "é",
        "version: 1.0.0\n",
      ),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(text, (parts) => outcome(realFiles({ "manifest.yaml": parts.join("") }))),
      { numRuns: length({ short: 100, soak: 2000 }) },
    );
  });
});
