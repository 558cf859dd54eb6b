/** Bundles: read, their packages kept under their own identifiers, all or none. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TenantId } from "../../src/domain/ids.ts";
import type { StagedFile } from "../../src/packages/package-store.ts";
import {
  DEFAULT_READ_OPTIONS,
  type ReadPackageOptions,
  readPackage,
} from "../../src/packages/read-package.ts";
import { Scope } from "../../src/util/scope.ts";
import { type IntakeChanges, inPieces, openIntake } from "../harness/rigs/intake.ts";
import { ON_POSTGRES, type TestDatabase } from "../harness/rigs/stores.ts";
import { REAL_MANIFEST, realFiles, temporaryFolder, zipOf } from "../support/test-zip.ts";

const tenantId = TenantId.parse("33333333-3333-4333-8333-333333333333");
const never = new AbortController().signal;
const options: ReadPackageOptions = DEFAULT_READ_OPTIONS;

const packed = (name: string) =>
  zipOf(realFiles({ "manifest.yaml": REAL_MANIFEST.replace("name: echo", `name: ${name}`) }));
const [one, two] = [packed("one"), packed("two")];

async function checksumOf(bytes: Buffer): Promise<string> {
  await using folder = await temporaryFolder();
  return (await readPackage(await folder.file("p", bytes), new Date(0), options)).checksum;
}

interface BundleParts {
  readonly dependencies: readonly object[];
  readonly assets?: Readonly<Record<string, Buffer>>;
  readonly manifest?: Readonly<Record<string, unknown>>;
}

function bundleOf({ dependencies, assets = {}, manifest = {} }: BundleParts): Buffer {
  const written = {
    name: "starter",
    labels: { en_US: "Starter", zh_Hant: "dropped" },
    description: { en_US: "What one begins with" },
    icon: "icon.svg",
    version: "0.1.0",
    author: "acme",
    type: "bundle",
    dependencies,
    ...manifest,
  };
  const files = Object.fromEntries(Object.entries(assets).map(([name, bytes]) => [`_assets/${name}`, bytes]));
  return zipOf({ "manifest.yaml": JSON.stringify(written), "README.md": "# Starter", ...files });
}

const marketplace = { type: "marketplace", value: { marketplace_pattern: "acme/far:^1.0.0" } };
const github = { type: "github", value: { repo_pattern: "acme/near:1.x.x/near.difypkg" } };
const packaged = (path: string) => ({ type: "package", value: { path } });

describe.each(ON_POSTGRES)("on $name", ({ create }) => {
  const scope = new Scope();
  let database: TestDatabase;
  let sums: { readonly one: string; readonly two: string };
  beforeAll(async () => {
    database = scope.use(await create());
    sums = { one: await checksumOf(one), two: await checksumOf(two) };
    // the tenant itself comes with its first upload
    await using intake = await openIntake(database);
    await intake.uploads.receive(inPieces(packed("zero")), { tenantId }, never);
  });
  afterAll(() => scope.close());

  /** Nothing else than a refusal: by the code, with files and rows as they were. */
  async function refused(bytes: Buffer, changes: IntakeChanges = {}) {
    await using intake = await openIntake(database, changes);
    const before = await intake.left();
    const failure: unknown = await intake.bundles.receive(inPieces(bytes), { tenantId }, never).then(
      () => "accepted",
      (error: unknown) => error,
    );
    expect(await intake.left()).toEqual(before);
    return failure;
  }

  test.each<[string, (sums: { one: string; two: string }) => BundleParts, object]>([
    [
      "names a file that it does not contain",
      () => ({ dependencies: [packaged("absent")] }),
      {
        code: "manifest_invalid",
        details: { field: "dependencies[0].value.path", missing: "_assets/absent" },
      },
    ],
    [
      "holds a good package and then a file that is not a package",
      ({ one: sum }) => ({
        dependencies: [packaged(sum), packaged("b")],
        assets: { [sum]: one, b: Buffer.from("text") },
      }),
      { code: "package_not_zip" },
    ],
    [
      "holds a good package and then one over the size limit of packages",
      ({ one: sum }) => ({
        dependencies: [packaged(sum), packaged("b")],
        assets: { [sum]: one, b: Buffer.alloc(6_000_000) },
      }),
      { code: "package_too_large" },
    ],
    [
      "asks for an invalid version",
      () => ({ dependencies: [{ type: "marketplace", value: { marketplace_pattern: "acme/far:latest" } }] }),
      { code: "manifest_invalid", details: { value: "acme/far:latest" } },
    ],
    [
      "asks for a repository without a file",
      () => ({ dependencies: [{ type: "github", value: { repo_pattern: "acme/near:1.0.0" } }] }),
      { code: "manifest_invalid" },
    ],
    [
      "asks for a dependency of an unknown type",
      () => ({ dependencies: [{ type: "ftp", value: {} }] }),
      { code: "manifest_invalid", details: { field: "dependencies[0].type", value: "ftp" } },
    ],
    [
      "has no list of dependencies",
      () => ({ dependencies: [], manifest: { dependencies: null } }),
      { code: "manifest_invalid", details: { field: "dependencies" } },
    ],
    [
      "lists more dependencies than one install may have",
      () => ({ dependencies: Array(201).fill(marketplace) }),
      { code: "manifest_invalid" },
    ],
    [
      "has the type of a plugin",
      () => ({ dependencies: [], manifest: { type: "plugin" } }),
      { code: "manifest_invalid", details: { field: "type", value: "plugin" } },
    ],
    [
      "has an author that is not allowed in an identifier",
      () => ({ dependencies: [], manifest: { author: "Acme Inc" } }),
      { code: "manifest_invalid", details: { field: "author" } },
    ],
  ])("a bundle that %s is refused and leaves nothing behind", async (_name, parts, expected) => {
    expect(await refused(bundleOf(parts(sums)))).toMatchObject(expected);
  });

  test.each([
    ["not an archive", () => Buffer.from("text"), "package_not_zip"],
    ["an archive without a manifest", () => zipOf({ "README.md": "" }), "manifest_missing"],
    [
      "an archive with a path outside of its folder",
      () => zipOf({ "manifest.yaml": "", "../x": "" }),
      "package_unsafe",
    ],
    ["larger than the limit for bundles", () => Buffer.alloc(10_000_001), "payload_too_large"],
  ])("an upload that is %s is refused as a bundle", async (_name, bytes, code) => {
    expect(await refused(bytes())).toMatchObject({ code });
  });

  test("a bundle with one unsigned package is refused if signatures are required", async () => {
    const bytes = bundleOf({ dependencies: [packaged(sums.one)], assets: { [sums.one]: one } });
    expect(await refused(bytes, { policy: "require" })).toMatchObject({ code: "signature_required" });
  });

  test("a failed write of the rows removes all new archives and keeps those of packages that existed before", async () => {
    await using intake = await openIntake(database);
    const known = await intake.uploads.receive(inPieces(packed("known")), { tenantId }, never);
    const sum = known.stored.checksum;
    const bytes = bundleOf({
      dependencies: [packaged(sums.one), packaged(sum), packaged(sums.two)],
      assets: { [sums.one]: one, [sums.two]: two, [sum]: packed("known") },
    });
    const failing: IntakeChanges = {
      store: (store) => ({
        ...store,
        bundles: { ...store.bundles, put: () => Promise.reject(new Error("full")) },
      }),
    };
    const before = await intake.left();
    await intake[Symbol.asyncDispose]();
    expect(String(await refused(bytes, failing))).toContain("full");
    await using again = await openIntake(database);
    expect(await again.left()).toEqual(before);
    await using archive = await again.packages.open(known.stored.identifier);
    expect(archive.bytes).toBe(known.stored.bytes);
  });

  test("a failed write of one archive removes the archives that were written before it", async () => {
    const bytes = bundleOf({
      dependencies: [packaged(sums.one), packaged(sums.two)],
      assets: { [sums.one]: one, [sums.two]: two },
    });
    let kept = 0;
    const failing: IntakeChanges = {
      packages: (packages) => {
        const keep = packages.keep.bind(packages);
        return Object.assign(packages, {
          keep: (staged: StagedFile, identifier: string) => {
            kept += 1;
            return kept === 2 ? Promise.reject(new Error("no room")) : keep(staged, identifier);
          },
        });
      },
    };
    expect(String(await refused(bytes, failing))).toContain("no room");
    expect(kept).toBe(2);
  });

  test("a bundle keeps its packages under their own identifiers and its list in its own order", async () => {
    await using intake = await openIntake(database);
    const dependencies = [github, packaged(sums.two), marketplace, packaged(sums.one), packaged(sums.two)];
    const bytes = bundleOf({
      dependencies,
      assets: { [sums.one]: one, [sums.two]: two, "icon.svg": Buffer.from("<svg/>") },
    });
    const first = await intake.bundles.receive(inPieces(bytes), { tenantId }, never);
    const again = await intake.bundles.receive(inPieces(bytes), {}, never);
    expect([first.created, again.created]).toEqual([true, false]);
    expect(again.stored).toEqual(first.stored);
    const { stored } = first;
    expect(stored.identifier).toBe(`acme/starter:0.1.0@${await bundleChecksum(bytes)}`);
    expect(stored).toMatchObject({
      bytes: bytes.length,
      manifest: {
        name: "starter",
        labels: { en_US: "Starter" },
        icon: "icon.svg",
        version: "0.1.0",
        type: "bundle",
        tags: [],
      },
      dependencies: [
        { type: "github", repo: "acme/near", release: "1.x.x", asset: "near.difypkg" },
        { type: "package", identifier: `acme/two:0.0.1@${sums.two}` },
        { type: "marketplace", organization: "acme", plugin: "far", version: "^1.0.0" },
        { type: "package", identifier: `acme/one:0.0.1@${sums.one}` },
        { type: "package", identifier: `acme/two:0.0.1@${sums.two}` },
      ],
    });
    for (const [name, content] of Object.entries({ one, two })) {
      const identifier = `acme/${name}:0.0.1@${name === "one" ? sums.one : sums.two}`;
      expect(await intake.store.packages.isVisibleTo(identifier, tenantId)).toBe(true);
      await using archive = await intake.packages.open(identifier);
      expect(archive.bytes).toBe(content.length);
    }
    expect(await intake.store.bundles.find(stored.identifier)).toEqual(stored);
    expect((await intake.store.bundles.list({ tenantId }, { limit: 5 })).items).toEqual([stored]);
    const other = TenantId.parse(crypto.randomUUID());
    expect((await intake.store.bundles.list({ tenantId: other }, { limit: 5 })).items).toEqual([]);
    expect(await intake.store.bundles.isVisibleTo(stored.identifier, other)).toBe(false);
    expect(await intake.store.bundles.isVisibleTo(stored.identifier, tenantId)).toBe(true);
  });

  test("a file of a bundle can have any name, and a wrong checksum as its name is a warning", async () => {
    await using intake = await openIntake(database);
    const sha = createHash("sha256").update(two).digest("hex");
    const bytes = bundleOf({
      dependencies: [packaged(sums.one), packaged("two.difypkg"), packaged(sha)],
      assets: { [sums.one]: one, "two.difypkg": two, [sha]: two },
      manifest: { name: "named" },
    });
    const { stored } = await intake.bundles.receive(inPieces(bytes), { tenantId }, never);
    const identifier = `acme/two:0.0.1@${sums.two}`;
    expect(stored.dependencies.slice(1)).toEqual([
      { type: "package", identifier },
      { type: "package", identifier },
    ]);
    expect(stored.warnings).toEqual([
      `manifest.yaml: dependencies[2].value.path: is ${sha}, which is not the checksum of ${identifier}`,
    ]);
  });

  test("a bundle is removed for all who uploaded it, but not while it is being installed, and its packages stay", async () => {
    await using intake = await openIntake(database);
    const bytes = bundleOf({
      dependencies: [packaged(sums.one)],
      assets: { [sums.one]: one },
      manifest: { name: "passing" },
    });
    const { stored } = await intake.bundles.receive(inPieces(bytes), { tenantId }, never);
    const { identifier } = stored;
    const { bundles, packages, tasks } = intake.store;
    const { task } = await tasks.accept({
      kind: "bundle",
      tenantId,
      identifier,
      input: { bundle: identifier },
    });
    await expect(bundles.remove(identifier)).rejects.toMatchObject({
      code: "conflict",
      details: { task_id: task.id },
    });
    const claimed = await tasks.claim(task.id, "worker", 60_000);
    await tasks.finishReady(task.id, claimed?.attempt ?? 0);
    await bundles.remove(identifier);
    expect(await bundles.find(identifier)).toBeUndefined();
    expect(await bundles.isVisibleTo(identifier, tenantId)).toBe(false);
    expect(await packages.isVisibleTo(`acme/one:0.0.1@${sums.one}`, tenantId)).toBe(true);
    await expect(bundles.remove(identifier)).rejects.toMatchObject({ code: "bundle_not_found" });
  });
});

/** By the rule of packages, said a second time. */
async function bundleChecksum(bytes: Buffer): Promise<string> {
  const { openArchive } = await import("../../src/packages/archive/archive.ts");
  const sha = (data: string | Buffer) => createHash("sha256").update(data).digest();
  await using folder = await temporaryFolder();
  await using archive = await openArchive(await folder.file("b", bytes), options);
  const parts: Buffer[] = [];
  for (const path of archive.paths.toSorted())
    parts.push(sha(path), sha(await archive.read(path, 10_000_000)));
  return sha(Buffer.concat(parts)).toString("hex");
}
