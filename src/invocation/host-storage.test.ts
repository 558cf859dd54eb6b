import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createHostStorage, type StorageOwner } from "./host-storage.ts";

const OWNER: StorageOwner = { tenantId: "t", pluginId: "acme/p", bytesMax: 1_000 };
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-storage-"));
});
afterEach(() => rm(folder, { recursive: true }));

const aProcess = () => createHostStorage({ folder, bytesMax: 10_000, keysMax: 100 });
const set = (key: string, bytes: number) => ({ opt: "set", key, value: "00".repeat(bytes) });

async function usedBytes(): Promise<number> {
  const own = join(folder, "t", "acme", "p");
  const sizes = await Promise.all(
    (await readdir(own)).map(async (name) => (await stat(join(own, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

test("two processes that write at once stay within one quota, and use it up", async () => {
  const processes = [aProcess(), aProcess()];
  const writes = Array.from({ length: 20 }, (_, index) =>
    processes[index % 2]?.serve(OWNER, set(`k${index}`, 100)).then(
      () => "ok",
      (error: { code: string }) => error.code,
    ),
  );
  const outcomes = await Promise.all(writes);
  expect(outcomes.filter((outcome) => outcome === "ok")).toHaveLength(10);
  expect(outcomes.filter((outcome) => outcome === "storage_quota")).toHaveLength(10);
  expect(await usedBytes()).toBe(1_000);
});

test("what a killed process left half written takes no room", async () => {
  const own = join(folder, "t", "acme", "p");
  await mkdir(own, { recursive: true });
  await writeFile(join(own, "abc.half-written"), Buffer.alloc(900));
  await aProcess().serve(OWNER, set("k", 500));
  expect(await usedBytes()).toBe(500);
});
