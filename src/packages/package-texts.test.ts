import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realFiles, temporaryFolder, zipOf } from "../../test/support/test-zip.ts";
import { type Archive, openArchive } from "./archive/archive.ts";
import { chooseReadme, findAsset, readPrivacy, readReadmes } from "./package-texts.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "./read-package.ts";

const files: Record<string, string | Buffer> = {
  ...realFiles(),
  "README.md": "\uFEFF# Echo\0",
  "readme/README_zh_Hans.md": "# 回声",
  "readme/README_pt_BR.md": Buffer.from([0x23, 0xff]),
  "readme/README_klingon.md": "no",
  "readme/README_en_Englishisch.md": "no",
  "readme/deep/README_ja_JP.md": "no",
  "readme/README_fr_FR.md": "x".repeat(1_048_577),
  "PRIVACY.md": "We keep nothing.",
  "docs/privacy.md": "We keep all.",
  "_assets/samples/a.svg": "<svg>a</svg>",
};

describe("the texts of a package", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let path: string;
  let archive: Archive;
  beforeAll(async () => {
    folder = await temporaryFolder();
    path = await folder.file("a.difypkg", zipOf(files));
    archive = await openArchive(path, DEFAULT_READ_OPTIONS);
  });
  afterAll(async () => {
    await archive[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test("READMEs are found by their language, and other files are not READMEs", async () => {
    const readmes = await readReadmes(archive);
    expect(Object.fromEntries(readmes)).toEqual({
      en_US: "# Echo\uFFFD",
      zh_Hans: "# 回声",
      pt_BR: "#\uFFFD",
    });
    expect(chooseReadme(readmes, "zh_Hans")?.language).toBe("zh_Hans");
    expect(chooseReadme(readmes, "ja_JP")?.language).toBe("en_US");
    expect(chooseReadme(new Map([["zh_Hans", "x"]]), "ja_JP")).toEqual({ language: "zh_Hans", content: "x" });
    expect(chooseReadme(new Map(), "en_US")).toBeUndefined();
  });

  test("an asset is found by its file name and by the id that the declaration shows", async () => {
    const { declaration } = await readPackage(path, new Date(0), DEFAULT_READ_OPTIONS);
    expect(declaration["icon"]).toMatch(/^[0-9a-f]{64}\.svg$/);
    expect(await findAsset(archive, String(declaration["icon"]))).toBe("_assets/icon.svg");
    expect(await findAsset(archive, "samples/a.svg")).toBe("_assets/samples/a.svg");
    for (const absent of ["../manifest.yaml", "manifest.yaml", "", `${"0".repeat(64)}.svg`, "x.svg"])
      expect(await findAsset(archive, absent)).toBeUndefined();
  });

  test("the privacy notice is the file or address that the manifest names, or PRIVACY.md", async () => {
    expect(await readPrivacy(archive, "docs/privacy.md")).toMatchObject({ content: "We keep all." });
    for (const named of [undefined, "", "gone.md", 7])
      expect(await readPrivacy(archive, named)).toMatchObject({ path: "PRIVACY.md" });
    expect(await readPrivacy(archive, "https://acme.example/privacy")).toEqual({
      type: "url",
      url: "https://acme.example/privacy",
    });
    expect(await readPrivacy(archive, "https://")).toBeUndefined();
  });
});
