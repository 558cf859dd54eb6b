import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/test-zip.ts";
import { openDiskPackages } from "./disk-packages.ts";

const identifier = `acme/echo:1.0.0@${"ab".repeat(32)}`;

describe("the package store on disk", () => {
  it("keeps the first bytes under an identifier and opens them", async () => {
    await using folder = await temporaryFolder();
    const packages = await openDiskPackages({ folder: folder.path, stagedAgeMaxMs: 1000 });
    for (const content of ["first", "second"]) {
      await using staged = await packages.stage();
      await writeFile(staged.path, content);
      await packages.keep(staged, identifier);
    }
    const { path, bytes } = await packages.open(identifier);
    expect(bytes).toBe(5);
    expect(await readFile(path, "utf8")).toBe("first");
    expect(await readdir(join(folder.path, ".staging"))).toEqual([]);
  });

  it("removes a staged file that was not kept", async () => {
    await using folder = await temporaryFolder();
    const packages = await openDiskPackages({ folder: folder.path, stagedAgeMaxMs: 1000 });
    {
      await using staged = await packages.stage();
      await writeFile(staged.path, "x");
    }
    expect(await readdir(join(folder.path, ".staging"))).toEqual([]);
  });

  it("removes the staged files of dead processes at its start", async () => {
    await using folder = await temporaryFolder();
    const packages = await openDiskPackages({ folder: folder.path, stagedAgeMaxMs: 1000 });
    const stale = (await packages.stage()).path;
    const fresh = (await packages.stage()).path;
    await writeFile(stale, "x");
    await writeFile(fresh, "x");
    await utimes(stale, 1, 1);
    await openDiskPackages({ folder: folder.path, stagedAgeMaxMs: 60_000 });
    expect((await readdir(join(folder.path, ".staging"))).map((name) => fresh.endsWith(name))).toEqual([
      true,
    ]);
  });

  it("names the missing identifier, whether never stored or removed", async () => {
    await using folder = await temporaryFolder();
    const packages = await openDiskPackages({ folder: folder.path, stagedAgeMaxMs: 1000 });
    const missing = { code: "package_not_found", details: { field: "identifier", value: identifier } };
    await expect(packages.open(identifier)).rejects.toMatchObject(missing);
    await using staged = await packages.stage();
    await writeFile(staged.path, "x");
    await packages.keep(staged, identifier);
    await packages.remove(identifier);
    await packages.remove(identifier);
    await expect(packages.open(identifier)).rejects.toMatchObject(missing);
  });

  it("refuses to open anything but an identifier", async () => {
    await using folder = await temporaryFolder();
    const packages = await openDiskPackages({ folder: folder.path, stagedAgeMaxMs: 1000 });
    await expect(packages.open("../../etc/passwd")).rejects.toMatchObject({ code: "invalid_input" });
  });
});
