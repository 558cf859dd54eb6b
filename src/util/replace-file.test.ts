import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { replaceFile } from "./replace-file.ts";

async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "berth-replace-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

test("a file is replaced whole and can be read by everybody", async () => {
  const folder = await aFolder();
  const path = join(folder, "a.json");
  await replaceFile(path, "old");
  await replaceFile(path, "new", { draftFolder: folder });
  expect(await readFile(path, "utf8")).toBe("new");
  expect((await stat(path)).mode & 0o777).toBe(0o644);
  expect(await readdir(folder)).toEqual(["a.json"]);
});

test("a failed replacement leaves no draft", async () => {
  const folder = await aFolder();
  // a folder stands where the file is to be
  await mkdir(join(folder, "a.json"));
  await expect(replaceFile(join(folder, "a.json"), "new")).rejects.toMatchObject({ code: "EISDIR" });
  expect(await readdir(folder)).toEqual(["a.json"]);
});
