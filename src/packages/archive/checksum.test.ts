import { describe, expect, it } from "vitest";
import { temporaryFolder, zipOf } from "../../../test/support/test-zip.ts";
import { DEFAULT_READ_OPTIONS } from "../read-package.ts";
import { openArchive } from "./archive.ts";
import { checksumOf, digestsOf } from "./checksum.ts";

async function checksum(files: Record<string, string>): Promise<string> {
  await using folder = await temporaryFolder();
  await using archive = await openArchive(await folder.file("a.zip", zipOf(files)), DEFAULT_READ_OPTIONS);
  return checksumOf(await digestsOf(archive));
}

// The expected values were computed apart from this code, from the formula, with another language's hash functions.
describe("the checksum", () => {
  it("covers the path and content of each file", async () => {
    expect(
      await checksum({
        "manifest.yaml": "a: 1\n",
        "main.py": "print(1)\n",
        "_assets/icon.svg": "<svg/>",
      }),
    ).toBe("d32ccc4f8cc369a3f53267aa4eb5b989c959a4c3eeaecb0cf4d14664ff944129");
  });

  it("orders paths by their UTF-8 bytes, not by UTF-16 units", async () => {
    expect(await checksum({ "\u{1F600}.txt": "2", "\uFFEE.txt": "1", "a/b": "" })).toBe(
      "0d514a8f798137589235560fbec67c058d4c5e06cfcf5c0ce6a951af083ff01d",
    );
  });

  it("of no files is the checksum of no bytes", async () => {
    expect(await checksum({})).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  it("does not depend on the order of the entries", async () => {
    expect(await checksum({ b: "2", a: "1" })).toBe(await checksum({ a: "1", b: "2" }));
    expect(await checksum({ b: "1", a: "2" })).not.toBe(await checksum({ a: "1", b: "2" }));
  });
});
