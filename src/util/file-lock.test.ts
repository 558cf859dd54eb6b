import { mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { withFileLock } from "./file-lock.ts";

const SETTINGS = { staleMs: 60_000, lookMs: 1 };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-lock-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("one holder at a time has the lock, and no file is left afterwards", async () => {
  const path = join(folder, "a");
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
  };
  await Promise.all(Array.from({ length: 20 }, () => withFileLock(path, SETTINGS, work)));
  expect(most).toBe(1);
  expect(await readdir(folder)).toEqual([]);
});

test("work that fails releases the lock", async () => {
  const path = join(folder, "b");
  const failing = withFileLock(path, SETTINGS, () => Promise.reject(new Error("no")));
  await expect(failing).rejects.toThrow("no");
  await withFileLock(path, SETTINGS, async () => undefined);
});

test("the lock of a dead process is taken over once it is old, and a successor's lock is left alone", async () => {
  const path = join(folder, "c");
  await writeFile(path, "of a process that died");
  await utimes(path, 0, 0);
  await withFileLock(path, SETTINGS, async () => {
    await writeFile(path, "of a successor");
  });
  expect(await readdir(folder)).toEqual(["c"]);
});

test("a living holder keeps the lock, however long its work takes", async () => {
  const path = join(folder, "d");
  const settings = { staleMs: 2_000, lookMs: 5 };
  const order: string[] = [];
  const first = withFileLock(path, settings, async () => {
    order.push("the first begins");
    const { mtimeMs } = await stat(path);
    const isOld = async () => (await stat(path)).mtimeMs > mtimeMs + settings.staleMs;
    await vi.waitFor(async () => expect(await isOld()).toBe(true), { timeout: 30_000, interval: 100 });
    order.push("the first ends");
  });
  await vi.waitFor(() => expect(order).toHaveLength(1));
  await withFileLock(path, settings, async () => void order.push("the second begins"));
  await first;
  expect(order).toEqual(["the first begins", "the first ends", "the second begins"]);
});
