import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { length } from "../../../test/harness/samples/lengths.ts";
import { type RawEntry, rawZip, temporaryFolder } from "../../../test/support/test-zip.ts";
import { isFault } from "../../domain/fault.ts";
import { type ArchiveLimits, openArchive } from "./archive.ts";
import { checkPathsDistinct, parseArchivePath } from "./archive-path.ts";

const limits: ArchiveLimits = { entriesMax: 10, entryBytesMax: 5000, uncompressedBytesMax: 8000 };

async function open(bytes: Buffer) {
  const folder = await temporaryFolder();
  try {
    const archive = await openArchive(await folder.file("a.zip", bytes), limits);
    return Object.assign(archive, { folder });
  } catch (failure) {
    await folder[Symbol.asyncDispose]();
    throw failure;
  }
}

async function refusal(entries: readonly RawEntry[]): Promise<unknown> {
  try {
    await using archive = await open(rawZip(entries));
    await using _folder = archive.folder;
    for (const path of archive.paths) await buffer(archive.stream(path));
    return "accepted";
  } catch (failure) {
    return isFault(failure) ? failure.code : failure;
  }
}

describe("the archive reader", { timeout: 60_000 }, () => {
  it("reads stored and deflated entries in the archive's order", async () => {
    await using archive = await open(
      rawZip([
        { name: "b.txt", content: "bee" },
        { name: "a/é.txt", content: "ay", method: 0 },
      ]),
    );
    await using _folder = archive.folder;
    expect(archive.entries).toEqual([
      { path: "b.txt", bytes: 3 },
      { path: "a/é.txt", bytes: 2 },
    ]);
    expect((await archive.read("b.txt", 10)).toString()).toBe("bee");
    expect((await buffer(archive.stream("a/é.txt"))).toString()).toBe("ay");
  });

  const unsafeEntries: readonly (readonly [string, readonly RawEntry[]])[] = [
    ["an empty name", [{ name: "" }]],
    ["an absolute name", [{ name: "/etc/passwd" }]],
    ["a parent part", [{ name: "a/../../b" }]],
    ["a dot part", [{ name: "./a" }]],
    ["an empty part", [{ name: "a//b" }]],
    ["a backslash", [{ name: "a\\b" }]],
    ["a NUL", [{ name: "a\0b" }]],
    ["another name in its own header", [{ name: "a", content: "x", localName: "../a" }]],
    ["another compression in its own header", [{ name: "a", content: "x", localMethod: 0 }]],
    ["a drive letter", [{ name: "C:a" }]],
    ["a folder entry", [{ name: "tools/" }]],
    ["a name that is not UTF-8", [{ name: Buffer.from([0x61, 0xff]) }]],
    ["the same name twice", [{ name: "a" }, { name: "a" }]],
    ["names that differ by case", [{ name: "Tool.py" }, { name: "tool.py" }]],
    ["names that differ by Unicode form", [{ name: "caf\u00e9" }, { name: "cafe\u0301" }]],
    ["a file that is a folder too", [{ name: "a" }, { name: "a/b" }]],
    ["an encrypted entry", [{ name: "a", flags: 0x801 }]],
    ["another method", [{ name: "a", method: 12 }]],
    ["a symbolic link", [{ name: "a", content: "/etc/passwd", mode: 0o120777 }]],
    ["a device", [{ name: "a", mode: 0o020666 }]],
    ["more content than claimed", [{ name: "a", content: "x".repeat(4000), claim: 10 }]],
    ["less content than claimed", [{ name: "a", content: "x", claim: 10 }]],
    ["a wrong check sum", [{ name: "a", content: "x", crc: 1 }]],
    [
      "entries that share bytes",
      [
        { name: "a", content: "x".repeat(99) },
        { name: "b", offset: 0 },
      ],
    ],
  ];
  it.each(unsafeEntries)("refuses %s", async (_name, entries) => {
    expect(await refusal(entries)).toBe("package_unsafe");
  });

  it.each([
    ["one entry", [{ name: "a", content: "x".repeat(5001) }]],
    ["all entries together", ["a", "b"].map((name) => ({ name, content: "x".repeat(4500) }))],
    ["the number of entries", Array.from({ length: 11 }, (_, index) => ({ name: `f${index}` }))],
  ])("refuses what exceeds the limit of %s, by the directory alone", async (_name, entries) => {
    expect(await refusal(entries)).toBe("package_too_large");
  });

  it.each([
    ["text", Buffer.from("this is no archive")],
    ["nothing", Buffer.alloc(0)],
    ["half of a zip", rawZip([{ name: "a", content: "x".repeat(99) }]).subarray(0, 40)],
  ])("reports that %s is not a zip", async (_name, bytes) => {
    await expect(open(bytes)).rejects.toMatchObject({ code: "package_not_zip" });
  });

  it("returns the contents of a zip with changed bytes, or a named fault", async () => {
    const good = rawZip([
      { name: "a/b.txt", content: "hello" },
      { name: "c", content: "x".repeat(50), method: 0 },
    ]);
    await using folder = await temporaryFolder();
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        const path = await folder.file("a.zip", bytes);
        try {
          await using archive = await openArchive(path, limits);
          for (const name of archive.paths) await buffer(archive.stream(name));
        } catch (failure) {
          expect(isFault(failure), String(failure)).toBe(true);
        }
      }),
      { numRuns: length({ short: 150, soak: 3000 }) },
    );
  });
});

describe("archive paths", { timeout: 60_000 }, () => {
  it("are refused with a named fault, or stay below the folder that they are extracted to", () => {
    const awkward = fc.stringMatching(/^[a.\\/:~ ]{0,12}$/);
    fc.assert(
      fc.property(fc.oneof(awkward, fc.string({ unit: "binary" })), (name) => {
        try {
          const path = parseArchivePath(Buffer.from(name));
          expect(
            new URL(`file:///root/${encodeURI(path).replace(/[?#]/g, "_")}`).pathname.startsWith("/root/"),
          ).toBe(true);
          expect(path.split("/")).not.toContain("..");
          expect(path.split("/")).not.toContain("");
        } catch (failure) {
          expect(isFault(failure, "package_unsafe"), String(failure)).toBe(true);
        }
      }),
    );
  });

  it("that clash are refused with the entry's name", () => {
    expect(() => checkPathsDistinct(["a/B", "A/b"])).toThrow(/"A\/b".*"a\/B"/);
  });
});
