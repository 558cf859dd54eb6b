/** How a platform that knows the daemon brings packages and asks about them, without an engine. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InstallationId, TenantId } from "../../src/domain/ids.ts";
import { Scope } from "../../src/util/scope.ts";
import type { PackedPlugin } from "../harness/clients/client.ts";
import { openShelf, publish, type Shelf, sentForm, takeApart } from "../harness/rigs/dify-shelf.ts";
import { DATABASES, ON_POSTGRES, type TestDatabase } from "../harness/rigs/stores.ts";
import { DIFY_KEY } from "../harness/samples/callers.ts";
import * as models from "../harness/samples/dify-models.ts";
import { SIGNER_KEY, signed, wronglySigned } from "../harness/samples/signing.ts";
import { REAL_MANIFEST, realFiles, zipOf } from "../support/test-zip.ts";

const TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-00000000000a");
const ABSENT = `acme/absent:0.0.1@${"0".repeat(64)}`;
const UUID_AUTHOR = "0b1f5a9e-1111-4222-8333-444455556666";
const BAD_SIGNATURE =
  "PluginDaemonBadRequestError: plugin verification has been enabled, and the plugin you want to install has a bad signature";
const ICON = "<svg/>";
const ICON_ID = `${createHash("sha256").update(`${ICON}icon.svg`).digest("hex")}.svg`;

const management = (path: string) => `/plugin/${TENANT}/management/${path}`;
const PACKAGE = management("install/upload/package");
const BUNDLE = management("install/upload/bundle");
const about = (route: string, identifier: string, rest = "") =>
  management(`${route}?plugin_unique_identifier=${encodeURIComponent(identifier)}${rest}`);

const packed = (name: string, changes: Readonly<Record<string, string | undefined>> = {}) =>
  zipOf(realFiles({ "manifest.yaml": REAL_MANIFEST.replace("name: echo", `name: ${name}`), ...changes }));
const by = (author: string) =>
  zipOf(realFiles({ "manifest.yaml": REAL_MANIFEST.replace("author: acme", `author: ${author}`) }));

type Part = readonly [string, Buffer | string];
function formOf(...parts: readonly Part[]): FormData {
  const form = new FormData();
  for (const [name, value] of parts)
    if (typeof value === "string") form.append(name, value);
    else form.append(name, new Blob([new Uint8Array(value)]), "a.difypkg");
  return form;
}

function bundleOf(dependencies: readonly object[], assets: Readonly<Record<string, Buffer>> = {}): Buffer {
  const manifest = {
    name: "starter",
    version: "0.1.0",
    author: "acme",
    type: "bundle",
    icon: "icon.svg",
    dependencies,
    labels: { en_US: "Starter" },
    description: { en_US: "What one begins with" },
  };
  const files = Object.fromEntries(Object.entries(assets).map(([name, bytes]) => [`_assets/${name}`, bytes]));
  return zipOf({ "manifest.yaml": JSON.stringify(manifest), ...files });
}
const packaged = (path: string) => ({ type: "package", value: { path } });

describe.each(ON_POSTGRES)("packages of a platform on $name", ({ create }) => {
  const scope = new Scope();
  let database: TestDatabase;
  let shelf: Shelf;

  beforeAll(async () => {
    database = scope.use(await create());
    shelf = scope.use(await openShelf(database));
  });
  afterAll(() => scope.close());

  async function uploaded(bytes: Buffer, ...rest: readonly Part[]) {
    const { status, code, error, data } = await shelf.upload(PACKAGE, formOf(["dify_pkg", bytes], ...rest));
    expect({ status, code, error }).toEqual({ status: 200, code: 0, error: undefined });
    return models.Decoded.parse(data);
  }

  test("an uploaded package is answered with its declaration and icon ids, and a second upload with the same", async () => {
    const first = await uploaded(packed("echo"));
    expect(first.unique_identifier).toMatch(/^acme\/echo:0\.0\.1@[0-9a-f]{64}$/);
    expect(first.manifest).toMatchObject({ name: "echo", icon: ICON_ID, verified: false });
    expect(first.verification).toBeNull();
    expect(await uploaded(packed("echo"), ["verify_signature", "false"])).toEqual(first);
    const { data } = await shelf.get(about("fetch/manifest", first.unique_identifier));
    expect(models.DeclarationModel.parse(data)).toEqual(first.manifest);
  });

  test("must be identical 2: an invalid upload is answered with 200 and an error envelope, and nothing of it is stored", async () => {
    const before = await shelf.intake.left();
    const large = Buffer.alloc(5_000_001);
    const huge = zipOf({ ...realFiles(), "large.bin": Buffer.alloc(5_000_001) });
    const damaged = realFiles({ "manifest.yaml": "name: [" });
    const cases: readonly (readonly [FormData, RegExp])[] = [
      [formOf(["other", packed("x")]), /^http: no such file$/],
      [formOf(["dify_pkg", "a text"]), /^http: no such file$/],
      [formOf(["dify_pkg", large]), /^file size exceeds the maximum limit$/],
      [formOf(["dify_pkg", Buffer.from("text")]), /^difypkg: not a valid difypkg file$/],
      [
        formOf(["dify_pkg", huge]),
        /^plugin package size is too large, please ensure the uncompressed size is less than \d+ bytes$/,
      ],
      [formOf(["dify_pkg", zipOf(damaged)]), /manifest\.yaml.*\nfailed to decode package$/s],
      [formOf(["dify_pkg", by(UUID_AUTHOR)]), /^cannot set author to an UUID$/],
      [formOf(["dify_pkg", by("Capital")]), /author.*\nillegal plugin manifest\nfailed to decode package$/s],
      [
        formOf(["dify_pkg", packed("iconless", { "_assets/icon.svg": undefined })]),
        /icon.*\nfailed to decode package$/s,
      ],
      [formOf(["dify_pkg", packed("unsigned")], ["verify_signature", "true"]), /has a bad signature$/],
      // the field may come before the file
      [formOf(["verify_signature", "true"], ["dify_pkg", packed("unsigned")]), /has a bad signature$/],
    ];
    for (const [form, message] of cases) {
      const { error, ...rest } = await shelf.upload(PACKAGE, form);
      expect({ message, ...rest }).toEqual({ message, status: 200, code: -400, data: null });
      expect(error?.replace("PluginDaemonBadRequestError: ", "")).toMatch(message);
    }
    expect(await shelf.intake.left()).toEqual(before);
  });

  test("a file over its limit is answered, even if the client sends all of it before it reads the answer", async () => {
    const { url } = await shelf.door.listen();
    const large = formOf(["dify_pkg", Buffer.alloc(12_000_000)]);
    const { headers, ...sent } = await sentForm(large);
    const answer = await fetch(new URL(PACKAGE, url), {
      ...sent,
      headers: { ...Object(headers), "x-api-key": DIFY_KEY },
    });
    expect(await takeApart(answer)).toMatchObject({
      status: 200,
      code: -400,
      error: "PluginDaemonBadRequestError: file size exceeds the maximum limit",
    });
  });

  test("only the value true requires a signature", async () => {
    for (const given of ["True", "1", "", "yes"])
      await uploaded(packed("asked"), ["verify_signature", given]);
  });

  test("a body that is not a form and a form that is cut off are refused", async () => {
    const send = async (type: string, body: string) => {
      const answer = await shelf.raw(PACKAGE, { method: "POST", headers: { "content-type": type }, body });
      return `${answer.status} ${await answer.text()}`;
    };
    expect(await send("application/octet-stream", "x")).toMatch(/^200 .*isn't multipart\/form-data/);
    expect(await send("multipart/form-data", "x")).toMatch(/^200 .*multipart: /);
    const cut = '--b\r\nContent-Disposition: form-data; name="dify_pkg"; filename="a"\r\n\r\nPK';
    expect(await send("multipart/form-data; boundary=b", cut)).toMatch(/^200 .*multipart: /);
    expect(await send("multipart/form-data; boundary=b", "")).toMatch(/^200 .*(multipart: |no such file)/);
  });

  test("a bundle is answered as a list in its own order, and its packages are stored", async () => {
    const [one, two] = [packed("one"), packed("two")];
    const bundle = bundleOf(
      [
        packaged("a"),
        { type: "marketplace", value: { marketplace_pattern: "acme/far:^1.0.0" } },
        { type: "github", value: { repo_pattern: "acme/near:1.x.x/near.difypkg" } },
        packaged("b"),
      ],
      { a: one, b: two },
    );
    const { code, data } = await shelf.upload(BUNDLE, formOf(["dify_bundle", bundle]));
    expect(code).toBe(0);
    const [first, market, github, second] = models.BundleDependencies.parse(data);
    expect([first, second]).toMatchObject([
      { type: "package", value: { manifest: { name: "one", icon: ICON_ID } } },
      { type: "package", value: { manifest: { name: "two" } } },
    ]);
    expect(market?.value).toEqual({ organization: "acme", plugin: "far", version: "^1.0.0" });
    expect(github?.value).toEqual({
      repo_address: "https://github.com/acme/near",
      repo: "acme/near",
      release: "1.x.x",
      packages: "near.difypkg",
    });
    const identifier = first?.type === "package" ? first.value.unique_identifier : "";
    expect(await shelf.get(about("fetch/manifest", identifier))).toMatchObject({ code: 0 });
  });

  test("improved 9: a package in a bundle is refused for a UUID author or its unpacked size, as it is alone", async () => {
    const before = await shelf.intake.left();
    const huge = zipOf({ ...realFiles(), "large.bin": Buffer.alloc(5_000_001) });
    const refusals: readonly (readonly [Buffer, number, RegExp])[] = [
      [bundleOf([packaged("a")], { a: by(UUID_AUTHOR) }), -400, /cannot set author to an UUID$/],
      [bundleOf([packaged("a")], { a: huge }), -400, /plugin package size is too large/],
      [
        bundleOf([packaged("a")], { a: Buffer.from("text") }),
        -400,
        /^failed to create package decoder\ndifypkg: not a valid difypkg file$/,
      ],
      [bundleOf([packaged("a")]), -500, /^failed to fetch package from bundle\nasset not found$/],
      [Buffer.from("text"), -400, /\nfailed to decode bundle$/],
      [zipOf({ "other.yaml": "" }), -400, /\nfailed to load bundle manifest$/],
      [Buffer.alloc(10_000_001), -400, /^file size exceeds the maximum limit$/],
    ];
    for (const [bundle, code, message] of refusals) {
      const { error, ...rest } = await shelf.upload(BUNDLE, formOf(["dify_bundle", bundle]));
      expect({ message, ...rest }).toEqual({ message, status: 200, code, data: null });
      expect(error?.replace(/^\w+: /, "")).toMatch(message);
    }
    const unsigned = formOf(["dify_bundle", bundleOf([packaged("a")], { a: packed("u") })]);
    unsigned.append("verify_signature", "true");
    expect((await shelf.upload(BUNDLE, unsigned)).error).toBe(BAD_SIGNATURE);
    expect(await shelf.intake.left()).toEqual(before);
  });

  test("improved 9: an unsigned package in the vendor's name is refused, in a bundle and alone", async () => {
    const blocked = /^PluginDaemonBadRequestError: installation is blocked: .*ENFORCE_LANGGENIUS/;
    const vendors = by("langgenius");
    expect((await shelf.upload(PACKAGE, formOf(["dify_pkg", vendors]))).error).toMatch(blocked);
    const bundle = bundleOf([packaged("a")], { a: vendors });
    expect((await shelf.upload(BUNDLE, formOf(["dify_bundle", bundle]))).error).toMatch(blocked);
  });

  test("decoding returns the same as the upload, except that icons keep their names in the package", async () => {
    const { unique_identifier: identifier, manifest } = await uploaded(packed("decoded"));
    const { data } = await shelf.get(about("decode/from_identifier", identifier));
    const decoded = models.Decoded.parse(data);
    expect(decoded).toMatchObject({ unique_identifier: identifier, verification: null });
    expect(decoded.manifest.icon).toBe("icon.svg");
    const named = JSON.stringify(manifest).replaceAll(ICON_ID, "icon.svg");
    expect(decoded.manifest).toEqual(JSON.parse(named));
    const extracted = await shelf.raw("/v2/invoke/extract", {
      headers: { "x-plugin-unique-identifier": identifier },
    });
    expect(JSON.parse(await extracted.text())).toMatchObject({ code: 0, data });
    expect(await shelf.get(about("decode/from_identifier", ABSENT))).toMatchObject({
      status: 200,
      code: -400,
      error: "PluginDaemonBadRequestError: plugin package not found, please upload it firstly",
    });
    expect((await shelf.get("/v2/invoke/extract")).status).toBe(400);
  });

  test("improved 8: decoding also reads a JSON body, which older platforms send", async () => {
    const { unique_identifier: identifier } = await uploaded(packed("older"));
    const { url } = await shelf.door.listen();
    const body = JSON.stringify({ plugin_unique_identifier: identifier });
    expect(await getWithBody(new URL(management("decode/from_identifier"), url), body)).toMatchObject({
      code: 0,
      data: { unique_identifier: identifier },
    });
  });

  test("a manifest is found as long as its row exists, and another upload of the package restores the row", async () => {
    const { unique_identifier: identifier } = await uploaded(packed("comes-and-goes"));
    const is = async (route: string) => (await shelf.get(about(route, identifier))).data;
    expect(await is("fetch/identifier")).toBe(false);
    const id = await publish(shelf.store, { tenantId: TENANT, identifier });
    expect(await is("fetch/identifier")).toBe(true);
    await unpublish(shelf, id);
    expect(await is("fetch/identifier")).toBe(false);
    const gone = "PluginDaemonBadRequestError: plugin not found";
    expect((await shelf.get(about("fetch/manifest", identifier))).error).toBe(gone);
    expect((await shelf.get(about("fetch/manifest", ABSENT))).error).toBe(gone);
    // the archive is still here, and so is what can be read from it
    expect(await is("decode/from_identifier")).toMatchObject({ unique_identifier: identifier });
    const again = await uploaded(packed("comes-and-goes"));
    expect(again.unique_identifier).toBe(identifier);
    expect(await is("fetch/manifest")).toMatchObject({ name: "comes-and-goes" });
  });

  test("a readme is returned in the requested language, else in English, else in any language", async () => {
    const { unique_identifier: both } = await uploaded(
      packed("readable", { "README.md": "# Hello", "readme/README_ja_JP.md": "# こんにちは" }),
    );
    const readme = async (identifier: string, rest: string) =>
      await shelf.get(about("fetch/readme", identifier, rest));
    expect((await readme(both, "&language=ja_JP")).data).toEqual({
      content: "# こんにちは",
      language: "ja_JP",
    });
    for (const rest of ["", "&language=", "&language=pt_BR"])
      expect((await readme(both, rest)).data).toEqual({ content: "# Hello", language: "en_US" });
    const { unique_identifier: one } = await uploaded(
      packed("foreign", { "readme/README_zh_Hans.md": "# 你好" }),
    );
    expect((await readme(one, "&language=en_US")).data).toEqual({ content: "# 你好", language: "zh_Hans" });
    const { unique_identifier: none } = await uploaded(packed("mute"));
    expect(await readme(none, "")).toMatchObject({
      status: 200,
      code: -404,
      error: "PluginDaemonNotFoundError: no readme content available for this plugin",
    });
    expect((await readme(ABSENT, "")).error).toBe(
      "PluginDaemonInternalServerError: failed to get readme from database: plugin package not found, please upload it firstly",
    );
  });

  test("improved 10: an asset is answered with its bytes, and a missing asset with an empty body", async () => {
    const { unique_identifier: identifier } = await uploaded(packed("shown"));
    const bytes = async (path: string) => {
      const answer = await shelf.raw(`/plugin/${TENANT}/${path}`);
      expect(answer.headers.get("content-type")).toBe("application/octet-stream");
      return [answer.status, await answer.text()];
    };
    const kept = join(database.dataFolder, "storage/assets", ICON_ID);
    await rm(kept, { force: true });
    expect(await bytes(`asset/${ICON_ID}`)).toEqual([200, ICON]);
    expect(await readFile(kept, "utf8")).toBe(ICON);
    await writeFile(kept, "as the daemon kept it");
    expect(await bytes(`asset/${ICON_ID}`)).toEqual([200, "as the daemon kept it"]);
    expect(await bytes(`asset/${"0".repeat(64)}.svg`)).toEqual([200, ""]);
    expect(await bytes("asset/nonsense")).toEqual([200, ""]);
    expect(await bytes(`asset/${encodeURIComponent("../../../etc/passwd")}`)).toEqual([200, ""]);
    const file = (name: string, of = identifier) =>
      `extract-asset/?plugin_unique_identifier=${encodeURIComponent(of)}&file_path=${name}`;
    expect(await bytes(file("icon.svg"))).toEqual([200, ICON]);
    expect(await bytes(file("nothing.svg"))).toEqual([200, ""]);
    expect(await bytes(file("../manifest.yaml"))).toEqual([200, ""]);
    expect(await shelf.get(`/plugin/${TENANT}/${file("icon.svg", ABSENT)}`)).toMatchObject({
      status: 500,
      code: -500,
      error: "PluginDaemonInternalServerError: plugin package not found, please upload it firstly",
    });
  });
});

/**
 * What a signature covers and what an identifier is made of has vectors of its own, in `signature.test.ts`,
 * `checksum.test.ts` and `package-ref.test.ts` of `src`.
 */
describe("signatures of packages that a platform uploads", () => {
  const plain: PackedPlugin = { identifier: "", pluginId: "langgenius/echo", bytes: by("langgenius") };

  const key = { ...SIGNER_KEY, name: "signer", origin: "settings", createdAt: undefined } as const;

  test("must be identical 7: a package signed by a trusted key is reported with its category, and others are refused", async () => {
    await using database = await DATABASES[0].create();
    await using shelf = await openShelf(database, {
      trust: { keys: [key], missingCategory: "langgenius" },
    });
    const upload = async ({ bytes }: PackedPlugin) => {
      const form = formOf(["dify_pkg", bytes], ["verify_signature", "true"]);
      const { error, data } = await shelf.upload(PACKAGE, form);
      if (error !== undefined) return error;
      const { verification, manifest, unique_identifier: identifier } = models.Decoded.parse(data);
      const decoded = await shelf.get(about("decode/from_identifier", identifier));
      expect(decoded.data).toMatchObject({ verification, manifest: { verified: manifest.verified } });
      const stored = await shelf.get(about("fetch/manifest", identifier));
      expect(stored.data).toMatchObject({ verified: manifest.verified });
      return { verification, verified: manifest.verified };
    };
    const vendors = { verification: { authorized_category: "langgenius" }, verified: true };
    expect(await upload(await signed(plain, "langgenius"))).toEqual(vendors);
    // from before there were categories
    expect(await upload(await signed(plain))).toEqual(vendors);
    expect(await upload(await wronglySigned(plain))).toBe(BAD_SIGNATURE);
    expect(await upload(await signed(plain, "partner"))).toBe(BAD_SIGNATURE);
  });
});

/** As an uninstall ends, without anything that runs. */
async function unpublish({ store }: Shelf, id: string): Promise<void> {
  const { task } = await store.installations.acceptUninstall(InstallationId.parse(id));
  const claim = await store.tasks.claim(task.id, "a test", 60_000);
  await store.installations.publishRemoved(task.id, claim?.attempt ?? 0);
}

/** What `fetch` does not send. */
async function getWithBody(url: URL, body: string): Promise<unknown> {
  const headers = {
    "x-api-key": DIFY_KEY,
    "content-type": "application/json",
    "content-length": body.length,
  };
  const asked = request(url, { method: "GET", headers });
  asked.end(body);
  const [answer] = await once(asked, "response");
  return JSON.parse(await text(answer));
}
