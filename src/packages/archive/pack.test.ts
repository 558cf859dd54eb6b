import { mkdir, readdir, readFile, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { realFiles, temporaryFolder } from "../../../test/support/test-zip.ts";
import { parseIgnore } from "./ignore-file.ts";
import { packFolder } from "./pack.ts";

async function write(root: string, files: Record<string, string>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

describe("packing a folder", () => {
  it("gives the same bytes for the same files, whenever they were written", async () => {
    await using folder = await temporaryFolder();
    const plugin = join(folder.path, "plugin");
    await write(plugin, realFiles());
    const first = await packFolder({ folder: plugin, output: join(folder.path, "a.difypkg") });
    await utimes(join(plugin, "main.py"), 1, 1);
    const second = await packFolder({ folder: plugin, output: join(folder.path, "b.difypkg") });
    expect(await readFile(second.output)).toEqual(await readFile(first.output));
    expect(first.identifier).toMatch(/^acme\/echo:0\.0\.1@[0-9a-f]{64}$/);
    expect(first.files).toEqual(Object.keys(realFiles()).sort());
    expect(first.bytes).toBe((await readFile(first.output)).length);
  });

  it("leaves out what .difyignore names, links to folders, and its own output", async () => {
    await using folder = await temporaryFolder();
    await write(folder.path, {
      ...realFiles(),
      ".difyignore": "# comment\n*.log\n!keep.log\n/build/\n",
      ".gitignore": "main.py\n",
      "keep.log": "",
      "build/x": "",
      "tools/build/y": "",
    });
    await symlink("/etc", join(folder.path, "etc"));
    await symlink("main.py", join(folder.path, "linked.py"));
    const output = join(folder.path, "out.difypkg");
    await packFolder({ folder: folder.path, output });
    const { files } = await packFolder({ folder: folder.path, output });
    expect(files).toEqual(
      [...Object.keys(realFiles()), ".difyignore", ".gitignore", "linked.py", "tools/build/y"].sort(),
    );
  });

  it("refuses a manifest that names an ignored file, and writes no archive", async () => {
    await using folder = await temporaryFolder();
    await write(folder.path, { ...realFiles(), ".difyignore": "tools/*.yaml\n" });
    const before = await readdir(folder.path);
    await expect(packFolder({ folder: folder.path, output: join(folder.path, "o") })).rejects.toMatchObject({
      code: "manifest_invalid",
      details: { file: "provider/echo.yaml", missing: "tools/echo.yaml" },
    });
    expect(await readdir(folder.path)).toEqual(before);
  });

  it("refuses a path that is not a folder", async () => {
    await expect(packFolder({ folder: "/nowhere/at/all" })).rejects.toMatchObject({
      code: "invalid_input",
      details: { field: "folder" },
    });
  });
});

describe("ignore patterns", () => {
  it.each([
    ["*.py", "a/b.py", true],
    ["/a.py", "b/a.py", false],
    ["a/b", "x/a/b", false],
    ["a/**/z", "a/b/c/z", true],
    ["venv/", "venv/", true],
    ["venv/", "venv", false],
    ["A.py", "a.py", false],
    ["*\n!a.py", "a.py", true],
  ])("%j on %j is %s", (pattern, path, ignored) => {
    expect(parseIgnore(pattern)(path)).toBe(ignored);
  });
});
