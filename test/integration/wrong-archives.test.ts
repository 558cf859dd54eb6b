/** Every way in which an archive can be wrong: refused by name, and neither file nor row is left of it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TenantId } from "../../src/domain/ids.ts";
import { Scope } from "../../src/util/scope.ts";
import { inPieces, openIntake, type TestIntake } from "../harness/rigs/intake.ts";
import { ON_POSTGRES } from "../harness/rigs/stores.ts";
import { type RawEntry, REAL_MANIFEST, rawZip, realFiles, seedFiles, zipOf } from "../support/test-zip.ts";

const tenantId = TenantId.parse("22222222-2222-4222-8222-222222222222");
const never = new AbortController().signal;
const BYTES_MAX = 2_000_000;

const good = realFiles();
const entriesOf = (files: Readonly<Record<string, string>>): RawEntry[] =>
  Object.entries(files).map(([name, content]) => ({ name, content }));
const beside = (...wrong: readonly RawEntry[]) => rawZip([...entriesOf(good), ...wrong]);
const manifest = (from: string | RegExp, to: string) =>
  zipOf(realFiles({ "manifest.yaml": REAL_MANIFEST.replace(from, to) }));
const withTool = (text: string) => zipOf(realFiles({ "tools/echo.yaml": text }));

/** Nine levels of ten: a billion values, if somebody followed them. */
function aliasBomb(): string {
  const levels = Array.from({ length: 9 }, (_, level) => {
    const value = level === 0 ? "x" : `*a${level - 1}`;
    return `a${level}: &a${level} [${Array(10).fill(value).join(", ")}]`;
  });
  return `${levels.join("\n")}\noutput_schema: { x: *a8 }\n${good["tools/echo.yaml"]}`;
}

const CASES: readonly (readonly [string, () => Buffer, string])[] = [
  [
    "is a zip bomb according to its directory",
    () => beside({ name: "big", content: Buffer.alloc(3_000_000) }),
    "package_too_large",
  ],
  [
    "is a zip bomb that lies about its size",
    () => beside({ name: "big", content: Buffer.alloc(1_500_000), claim: 10 }),
    "package_unsafe",
  ],
  [
    "has entries that share their bytes",
    () => beside({ name: "a", content: "x".repeat(40) }, { name: "b", content: "x".repeat(40), offset: 0 }),
    "package_unsafe",
  ],
  [
    "has another name in a file's own header",
    () => beside({ name: "x.py", content: "x", localName: "../x.py" }),
    "package_unsafe",
  ],
  [
    "has another compression in a file's own header",
    () => beside({ name: "x.py", content: "x", localMethod: 0 }),
    "package_unsafe",
  ],
  [
    "has a path outside of its folder",
    () => beside({ name: "../../etc/passwd", content: "x" }),
    "package_unsafe",
  ],
  ["has an absolute path", () => beside({ name: "/etc/passwd", content: "x" }), "package_unsafe"],
  [
    "has a symbolic link",
    () => beside({ name: "link", content: "/etc/passwd", mode: 0o120777 }),
    "package_unsafe",
  ],
  ["has two files of one name", () => beside({ name: "main.py", content: "x" }), "package_unsafe"],
  ["has two manifests of one name", () => beside({ name: "manifest.yaml", content: "x" }), "package_unsafe"],
  [
    "has more than 10,000 entries",
    () =>
      rawZip([
        ...entriesOf(good),
        ...Array.from({ length: 10_000 }, (_, n) => ({ name: `f/${n}`, method: 0 })),
      ]),
    "package_too_large",
  ],
  ["has backslashes in a path", () => beside({ name: "tools\\..\\x.py" }), "package_unsafe"],
  ["is cut off at its end", () => zipOf(good).subarray(0, -30), "package_not_zip"],
  [
    "lacks a piece in its middle",
    () => Buffer.concat([zipOf(good).subarray(0, 200), zipOf(good).subarray(260)]),
    "package_not_zip",
  ],
  [
    "has a file that does not match its checksum",
    () => beside({ name: "x.py", content: "x", crc: 1 }),
    "package_unsafe",
  ],
  ["has aliases that multiply", () => withTool(aliasBomb()), "manifest_invalid"],
  ["nests values 20,000 levels deep", () => withTool("[".repeat(20_000)), "manifest_invalid"],
  [
    "nests values deeper than the limit",
    () => withTool(`output_schema: { a: ${"[".repeat(200)}${"]".repeat(200)} }`),
    "manifest_invalid",
  ],
  ["is a bundle instead of a plugin", () => manifest("type: plugin", "type: bundle"), "manifest_invalid"],
  ["is for an unknown architecture", () => manifest("arch: [amd64]", "arch: [pdp11]"), "arch_not_supported"],
  [
    "has two manifests that disagree",
    () =>
      zipOf(
        realFiles({ "manifest.json": JSON.stringify({ author: "acme", name: "echo", version: "9.0.0" }) }),
      ),
    "manifest_invalid",
  ],
  ["has no manifest", () => zipOf({ "main.py": "" }), "manifest_missing"],
  [
    "has a provider with a name that is too long",
    () =>
      zipOf(
        realFiles({
          "provider/echo.yaml": (good["provider/echo.yaml"] ?? "").replace(
            "name: echo,",
            `name: ${"e".repeat(128)},`,
          ),
        }),
      ),
    "manifest_invalid",
  ],
  [
    "has a provider's name with a NUL",
    () =>
      zipOf(
        realFiles({
          "provider/echo.yaml": (good["provider/echo.yaml"] ?? "").replace("name: echo,", 'name: "e\\0cho",'),
        }),
      ),
    "manifest_invalid",
  ],
  [
    "names a model without its YAML",
    () => zipOf(seedFiles({ plugins: { models: ["m"] } }, { "models/m.py": "" })),
    "manifest_invalid",
  ],
  ["is larger than allowed", () => Buffer.alloc(BYTES_MAX + 1), "payload_too_large"],
];

describe.each(ON_POSTGRES)("wrong archives on $name", ({ create }) => {
  const scope = new Scope();
  let intake: TestIntake;
  let before: Awaited<ReturnType<TestIntake["left"]>>;
  beforeAll(async () => {
    const database = scope.use(await create());
    intake = scope.use(await openIntake(database, { bytesMax: BYTES_MAX }));
    // the tenant itself comes with its first upload
    await intake.uploads.receive(inPieces(zipOf(realFiles({ "main.py": "# kept" }))), { tenantId }, never);
    before = await intake.left();
  });
  afterAll(() => scope.close());

  test.each(CASES)("an archive that %s is refused and leaves nothing behind", async (_name, bytes, code) => {
    await expect(intake.uploads.receive(inPieces(bytes()), { tenantId }, never)).rejects.toMatchObject({
      code,
    });
    expect(await intake.left()).toEqual(before);
  });

  test("unknown keys appear in no declaration, and a manifest of the seed dialect gets warnings about them", async () => {
    const odd = manifest("author: acme", "author: acme\nverified: true\nodd: { deep: [1] }");
    const real = await intake.uploads.receive(inPieces(odd), {}, never);
    expect(Object.keys(real.stored.declaration)).not.toContain("odd");
    expect(real.stored.declaration["verified"]).toBe(false);
    const resource = { memory: 256, max_concurent_requests: 3 };
    const seed = await intake.uploads.receive(
      inPieces(zipOf(seedFiles({ resource, colour: "red" }))),
      {},
      never,
    );
    expect(JSON.stringify(seed.stored.declaration)).not.toContain("colour");
    expect(seed.stored.warnings).toEqual([
      expect.stringMatching(/colour: is no key of a manifest/),
      expect.stringMatching(/resource\.max_concurent_requests: is no key/),
    ]);
  });

  test("warnings keep no character that a database refuses", async () => {
    const provider = (good["provider/echo.yaml"] ?? "")
      .replace("api_key:", '"a\\0b\\uD800":')
      .replace(", label: { en_US: Key }", "");
    const odd = await intake.uploads.receive(
      inPieces(zipOf(realFiles({ "provider/echo.yaml": provider }))),
      {},
      never,
    );
    expect(odd.stored.warnings.join()).toContain("a\uFFFDb\uFFFD");
    expect(await intake.store.packages.find(odd.stored.identifier)).toEqual(odd.stored);
  });
});
