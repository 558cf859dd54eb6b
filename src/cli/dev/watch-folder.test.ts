import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isIgnored, watchFolder } from "./watch-folder.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-watch-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("tools' folders, byte code and editors' drafts are ignored, and files of the plugin are not", () => {
  const ignored = [
    ...[".git", "tools/__pycache__", ".venv", "node_modules", ".idea", "env"],
    ...["main.pyc", ".main.py.swp", "main.py~", ".#main.py", "#main.py#", "4913", "a.tmp", "a.difypkg"],
  ];
  for (const path of ignored) expect([path, isIgnored(path, (it) => it === "env")]).toEqual([path, true]);
  for (const path of ["main.py", ".env", "tools", "manifest.yaml", "_assets/icon.svg", "tools/git.py"])
    expect([path, isIgnored(path, () => false)]).toEqual([path, false]);
});

test("changes of files, new folders and replaced files are reported, and ignored ones are not", async () => {
  await writeFile(join(folder, "main.py"), "1");
  await mkdir(join(folder, "env"));
  await writeFile(join(folder, "env/pyvenv.cfg"), "");
  await using watched = await watchFolder(folder, 50);
  await writeFile(join(folder, "env/lib.py"), "");
  await mkdir(join(folder, "__pycache__"));
  await writeFile(join(folder, ".main.py.swp"), "2");
  // as sed does
  await writeFile(join(folder, "sedReSIk1"), "2");
  await rename(join(folder, "sedReSIk1"), join(folder, "main.py"));
  await watched.changed();
  expect(watched.take()).toEqual(["main.py"]);

  await mkdir(join(folder, "tools"));
  await writeFile(join(folder, "tools/new.py"), "1");
  await watched.changed();
  expect(watched.take()).toContain("tools");
  await writeFile(join(folder, "tools/new.py"), "2");
  await watched.changed();
  expect(watched.take()).toEqual(["tools/new.py"]);
});
