import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RuntimeId } from "../../domain/ids.ts";
import { createRuntimeFolders } from "./runtime-folders.ts";

let dataFolder: string;
beforeAll(async () => {
  dataFolder = await mkdtemp(join(tmpdir(), "berth-folder-"));
  await writeFile(join(dataFolder, "runner.py"), "run()\n", { mode: 0o600 });
});
afterAll(() => rm(dataFolder, { recursive: true }));

const id = RuntimeId.parse("aaaaaaaaaa");
const foldersWith = (pem: string | undefined) =>
  createRuntimeFolders({
    dataFolder,
    runnerFile: join(dataFolder, "runner.py"),
    caBundle: pem === undefined ? undefined : { pem, digest: "", warnings: [] },
  });

test("a folder that is prepared again has the new bundle, as a new file that every user can read", async () => {
  const folder = await foldersWith("old").prepare(id);
  const before = await stat(join(folder, "ca.pem"));
  await foldersWith("new").prepare(id);
  const after = await stat(join(folder, "ca.pem"));
  expect(await readFile(join(folder, "ca.pem"), "utf8")).toBe("new");
  expect(after.ino).not.toBe(before.ino);
  expect(after.mode & 0o777).toBe(0o644);
  expect((await readdir(folder)).sort()).toEqual(["ca.pem", "runner.py"]);
});

test("a folder that is prepared again with the same content is not written, so that a full disk does not matter", async () => {
  const folder = await foldersWith("same").prepare(id);
  const before = await stat(join(folder, "ca.pem"));
  await foldersWith("same").prepare(id);
  expect((await stat(join(folder, "ca.pem"))).ino).toBe(before.ino);
});

test("a bundle that the operator removed stays for the processes that were started with it", async () => {
  const folder = await foldersWith("old").prepare(id);
  await foldersWith(undefined).prepare(id);
  expect(await readFile(join(folder, "ca.pem"), "utf8")).toBe("old");
});

test("a new folder has a copy of the key; the host's own is beside it, readable by its user only, and is removed with it", async () => {
  const folders = foldersWith(undefined);
  const other = RuntimeId.parse("bbbbbbbbbb");
  const folder = await folders.create(other);
  const [kept, copy] = [await stat(`${folder}.key`), await stat(join(folder, "key"))];
  expect([kept.mode & 0o777, copy.mode & 0o777]).toEqual([0o600, 0o644]);
  expect(await readFile(join(folder, "key"), "utf8")).toBe(await readFile(`${folder}.key`, "utf8"));
  expect(await folders.list()).toContain(other);
  await rm(folder, { recursive: true });
  // Cut short between the two: what is left is found, and removed.
  expect(await folders.list()).toContain(other);
  await folders.remove(other);
  expect(await folders.list()).not.toContain(other);
});

test("a folder that is prepared again gets no second copy of the key", async () => {
  const folders = foldersWith(undefined);
  const other = RuntimeId.parse("cccccccccc");
  const folder = await folders.create(other);
  await rm(join(folder, "key"));
  await folders.prepare(other);
  expect(await readdir(folder)).toEqual(["runner.py"]);
  await folders.remove(other);
});

test("a plugin's files belong to its user alone, below a folder that other users of the host may not enter", async () => {
  const folders = foldersWith(undefined);
  const third = RuntimeId.parse("cccccccccc");
  const files = [{ name: "k.pem", content: Buffer.from([0, 255]) }];
  const folder = await folders.create(third, { user: 100_007, files });
  const file = join(folder, "files", "k.pem");
  expect(await readFile(file)).toEqual(files[0]?.content);
  const { mode, uid } = await stat(file);
  // Without root's rights nobody can give a file away: then all of the container may read it.
  expect({ mode: mode & 0o777, uid }).toEqual(
    process.getuid?.() === 0 ? { mode: 0o400, uid: 100_007 } : { mode: 0o444, uid: process.getuid?.() },
  );
  expect((await stat(join(folder, "files"))).mode & 0o777).toBe(0o755);
  expect((await stat(join(dataFolder, "run"))).mode & 0o777).toBe(0o700);
  await folders.remove(third);
  await expect(stat(folder)).rejects.toMatchObject({ code: "ENOENT" });
});
