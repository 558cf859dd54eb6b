import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { lockDataFolder } from "./data-folder-lock.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-lock-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function held(): Promise<{ pid: number; startTime: string; bootId: string }> {
  await using _lock = await lockDataFolder(folder);
  return JSON.parse(await readFile(join(folder, "berth.lock"), "utf8"));
}

it("refuses a second process with the holder's pid, and leaves nothing behind", async () => {
  {
    await using _first = await lockDataFolder(folder);
    await expect(lockDataFolder(folder)).rejects.toMatchObject({
      code: "data_folder_locked",
      details: { pid: process.pid },
    });
  }
  expect(await readdir(folder)).toEqual([]);
});

it.each([
  ["a process that is gone", { pid: 2 ** 22 + 1 }],
  ["a pid that was given to another process since", { startTime: "1" }],
  ["an earlier boot", { bootId: "00000000-0000-0000-0000-000000000000" }],
])("takes over the lock of %s", async (_, change) => {
  await writeFile(join(folder, "berth.lock"), JSON.stringify({ ...(await held()), ...change }));
  await using _lock = await lockDataFolder(folder);
  expect(JSON.parse(await readFile(join(folder, "berth.lock"), "utf8"))).toMatchObject({ pid: process.pid });
});

it("lets exactly one of many processes take over a dead lock", async () => {
  await writeFile(join(folder, "berth.lock"), JSON.stringify({ ...(await held()), startTime: "1" }));
  const starts = await Promise.allSettled(Array.from({ length: 12 }, () => lockDataFolder(folder)));
  const won = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  expect(won).toHaveLength(1);
  await won[0]?.[Symbol.asyncDispose]();
  expect(await readdir(folder)).toEqual([]);
});
