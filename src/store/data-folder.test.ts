import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { prepareDataFolder } from "./data-folder.ts";

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "berth-folder-"));
});
afterEach(() => rm(parent, { recursive: true }));

test("a missing folder is created, and a folder with contents stays as it is", async () => {
  const folder = join(parent, "a", "b");
  await prepareDataFolder(folder);
  expect((await stat(folder)).isDirectory()).toBe(true);
  await mkdir(join(folder, "packages"));
  await prepareDataFolder(folder);
  expect(await readdir(folder)).toEqual(["packages"]);
});

test("if no folder can be created, the refusal names the setting, the folder and the user", async () => {
  await writeFile(join(parent, "file"), "");
  const folder = join(parent, "file", "data");
  await expect(prepareDataFolder(folder)).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringMatching(
      `^BERTH_DATA is ${folder}, and the user \\d+ \\(group \\d+\\) cannot write to ${folder} \\(ENOTDIR\\)`,
    ),
    details: { field: "BERTH_DATA", value: folder },
  });
});
