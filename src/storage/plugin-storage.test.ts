import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { storagePlaceIn } from "../../test/harness/doubles/storage.ts";
import { Fault } from "../domain/fault.ts";
import { TenantId } from "../domain/ids.ts";
import { silentLog } from "../observe/log.ts";
import { createHostStorage, type StorageOwner } from "./plugin-storage.ts";
import { createTenantStorage } from "./tenant-storage.ts";

const TENANT = TenantId.parse("6f9a5f0e-52a3-4d43-9b0e-0f2f4d1c2b3a");
const OWNER: StorageOwner = { tenantId: TENANT, pluginId: "acme/p", bytesMax: 1_000 };
let folder: string;
let counted: object[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-storage-"));
  counted = [];
});
afterEach(() => rm(folder, { recursive: true }));

const place = () =>
  storagePlaceIn(folder, {
    set: async (size) => void counted.push(size),
    reserve: async (size) => {
      if (size.bytes > 500) throw new Fault("quota_disk", "The tenant keeps too much.");
      counted.push(size);
    },
    remove: async (whose) => void counted.push(whose),
  });
const aProcess = () =>
  createHostStorage({
    place: place(),
    log: silentLog,
    settings: { bytesMax: 10_000, keysMax: 100, lockStaleMs: 10_000 },
  });
const set = (key: string, bytes: number) => ({ opt: "set", key, value: "00".repeat(bytes) });
const own = () => join(folder, "storage/persistence", TENANT, "acme/p");
const former = (key: string) =>
  join(folder, "storage", TENANT, "acme/p", createHash("sha256").update(key).digest("hex"));

async function keepFormer(key: string, text: string): Promise<void> {
  await mkdir(dirname(former(key)), { recursive: true });
  await writeFile(former(key), text);
}

async function filesIn(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

test("a value is stored in a file of its key's name, where the daemon expects it", async () => {
  await aProcess().serve(OWNER, { opt: "set", key: "sub/a key", value: "6162" });
  expect(await readFile(join(own(), "sub/a key"), "utf8")).toBe("ab");
  expect(counted).toEqual([{ tenantId: TENANT, pluginId: "acme/p", bytes: 2 }]);
});

test("a value that the daemon has written is read, counted and removed", async () => {
  await mkdir(own(), { recursive: true });
  await writeFile(join(own(), "its"), Buffer.alloc(900));
  expect(await aProcess().serve(OWNER, { opt: "exist", key: "its" })).toEqual({ data: true, exist_num: 1 });
  await expect(aProcess().serve(OWNER, set("mine", 101))).rejects.toMatchObject({ code: "storage_quota" });
  expect(await aProcess().serve(OWNER, { opt: "get", key: "its" })).toEqual({ data: "00".repeat(900) });
  await aProcess().serve(OWNER, { opt: "del", key: "its" });
  expect(await filesIn(own())).toEqual([]);
  await expect(aProcess().serve(OWNER, { opt: "del", key: "its" })).rejects.toMatchObject({
    code: "not_found",
  });
});

test.each([
  ["a//b", "a/b"],
  ["/a/b", "a/b"],
  ["a/./b/", "a/b"],
  ["a/../b", "b"],
  ["x".repeat(255), "x".repeat(255)],
])("the key %s is the path %s, as in the daemon", async (key, path) => {
  await aProcess().serve(OWNER, set(key, 1));
  expect((await stat(join(own(), path))).size).toBe(1);
});

test.each(["", ".", "/", "..", "../other/p/k", "a..b", "a\\b", "a\0b", "é".repeat(129), "x".repeat(256), 7])(
  "the key %j is refused before anything is touched",
  async (key) => {
    for (const opt of ["set", "get", "del", "exist"]) {
      await expect(aProcess().serve(OWNER, { opt, key, value: "00" })).rejects.toMatchObject({
        code: "invalid_input",
        details: { field: "key", value: key },
      });
    }
    expect(await filesIn(folder)).toEqual([]);
  },
);

test("a key above or below another is refused, and accepted when that one is removed", async () => {
  await aProcess().serve(OWNER, set("a/b", 1));
  for (const key of ["a", "a/b/c"])
    await expect(aProcess().serve(OWNER, set(key, 1))).rejects.toMatchObject({ code: "invalid_input" });
  await aProcess().serve(OWNER, { opt: "del", key: "a/b" });
  await aProcess().serve(OWNER, set("a", 1));
  expect((await stat(join(own(), "a"))).size).toBe(1);
});

test("two processes that write at the same time share one quota, and can use all of it", async () => {
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
  expect(await createTenantStorage(place()).usedBytes(TENANT)).toBe(1_000);
  expect(counted.at(-1)).toMatchObject({ bytes: 1_000 });
});

test("with a disk quota, bytes are reserved before a value is written, and a refused write changes nothing", async () => {
  const bounded = { ...OWNER, tenantIsBounded: true };
  const storage = aProcess();
  await storage.serve(bounded, set("a", 300));
  expect(counted.at(-1)).toMatchObject({ bytes: 300 });
  await expect(storage.serve(bounded, set("b", 201))).rejects.toMatchObject({ code: "quota_disk" });
  expect(await filesIn(own())).toEqual(["a"]);
  await storage.serve(bounded, set("a", 400));
  expect(counted.map((size) => Reflect.get(size, "bytes"))).toEqual([300, 400]);
  await storage.serve(bounded, { opt: "del", key: "a" });
  expect(counted.at(-1)).toMatchObject({ bytes: 0 });
  // One that cannot be written gives back what was reserved for it.
  const files = overridden(place().files, { write: () => Promise.reject(new Fault("disk_full", "full")) });
  const full = createHostStorage({
    place: { ...place(), files },
    log: silentLog,
    settings: { bytesMax: 10_000, keysMax: 100, lockStaleMs: 10_000 },
  });
  await expect(full.serve(bounded, set("c", 100))).rejects.toMatchObject({ code: "disk_full" });
  expect(counted.at(-1)).toMatchObject({ bytes: 0 });
});

/** The same in all but what is given. */
function overridden<T extends object>(of: T, changes: Partial<T>): T {
  return new Proxy(of, {
    get(target, name) {
      const own: unknown = Reflect.get(changes, name) ?? Reflect.get(target, name);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

test("a write lists no files once the storage has been counted, and the count stays correct", async () => {
  const listed: string[] = [];
  const { files, ...rest } = place();
  const list = (path: string, signal: AbortSignal) => {
    listed.push(path);
    return files.list(path, signal);
  };
  const storage = createHostStorage({
    place: { ...rest, files: overridden(files, { list }) },
    log: silentLog,
    settings: { bytesMax: 10_000, keysMax: 100, lockStaleMs: 10_000 },
  });
  await storage.serve(OWNER, set("a", 100));
  await storage.serve(OWNER, set("b", 100));
  listed.length = 0;
  for (const bytes of [10, 300, 20]) await storage.serve(OWNER, set("a", bytes));
  await storage.serve(OWNER, { opt: "del", key: "b" });
  expect(listed).toEqual([]);
  expect(counted.at(-1)).toMatchObject({ bytes: 20 });
  await storage.serve(OWNER, set("a", 1_000));
  await expect(storage.serve(OWNER, set("b", 1))).rejects.toMatchObject({ code: "storage_quota" });
});

test("after a process died in a write, the storage is counted again", async () => {
  const storage = aProcess();
  await storage.serve(OWNER, set("a", 100));
  const [tally] = (await filesIn(join(folder, "storage-locks"))).filter((name) => name.endsWith(".tally"));
  // it is taken away before a value is written, and may be half written itself
  for (const left of [undefined, "1 10"]) {
    await rm(join(folder, "storage-locks", tally ?? ""));
    if (left !== undefined) await writeFile(join(folder, "storage-locks", tally ?? ""), left);
    await writeFile(join(own(), `from-${left}`), Buffer.alloc(400));
    await storage.serve(OWNER, set("a", 100));
  }
  expect(counted.at(-1)).toMatchObject({ bytes: 900 });
  await expect(storage.serve(OWNER, set("c", 101))).rejects.toMatchObject({ code: "storage_quota" });
});

test("a half-written value of a killed process uses no quota and cannot be read", async () => {
  await mkdir(join(folder, "storage/.staging"), { recursive: true });
  await writeFile(join(folder, "storage/.staging/half-written"), Buffer.alloc(900));
  await aProcess().serve(OWNER, set("k", 500));
  expect(await createTenantStorage(place()).usedBytes(TENANT)).toBe(500);
});

test("a value of the layout with hashed names is found and counted, and is moved when its key is read", async () => {
  await keepFormer("sub/old", "ab");
  expect(await aProcess().serve(OWNER, { opt: "exist", key: "sub/old" })).toMatchObject({ data: true });
  await expect(aProcess().serve(OWNER, set("new", 999))).rejects.toMatchObject({ code: "storage_quota" });
  const all = await Promise.all([1, 2, 3].map(() => aProcess().serve(OWNER, { opt: "get", key: "sub/old" })));
  expect(all).toEqual([{ data: "6162" }, { data: "6162" }, { data: "6162" }]);
  expect(await readFile(join(own(), "sub/old"), "utf8")).toBe("ab");
  expect(await filesIn(dirname(former("sub/old")))).toEqual([]);
  expect(await readdir(join(folder, "storage"))).not.toContain(TENANT);
});

test("a value of the layout with hashed names is removed when it is written again or deleted", async () => {
  for (const key of ["a", "b"]) await keepFormer(key, "old");
  await aProcess().serve(OWNER, { opt: "set", key: "a", value: "6162" });
  await aProcess().serve(OWNER, { opt: "del", key: "b" });
  expect(await aProcess().serve(OWNER, { opt: "get", key: "a" })).toEqual({ data: "6162" });
  await expect(aProcess().serve(OWNER, { opt: "get", key: "b" })).rejects.toMatchObject({
    code: "not_found",
  });
});

test("a value of the layout with hashed names whose key conflicts with another key is read in place", async () => {
  await keepFormer("a/b", "ab");
  await aProcess().serve(OWNER, set("a", 1));
  expect(await aProcess().serve(OWNER, { opt: "get", key: "a/b" })).toEqual({ data: "6162" });
});

test("removing a plugin's or a tenant's storage removes both layouts and the count, and nothing of another tenant", async () => {
  const storage = createTenantStorage(place());
  const other = { ...OWNER, tenantId: "0b7d1a52-52a3-4d43-9b0e-0f2f4d1c2b3a" };
  for (const owner of [OWNER, other, { ...OWNER, pluginId: "acme/q" }])
    await aProcess().serve(owner, set("k", 10));
  await keepFormer("old", "ab");
  await storage.removeOf(TENANT, "acme/p");
  expect(await storage.usedBytes(TENANT)).toBe(10);
  expect(await storage.remove(TENANT)).toEqual({ bytes: 10 });
  expect(await storage.remove(TENANT)).toEqual({ bytes: 0 });
  expect(await aProcess().serve(other, { opt: "exist", key: "k" })).toMatchObject({ data: true });
  expect(counted.slice(-3)).toEqual([
    { tenantId: TENANT, pluginId: "acme/p" },
    { tenantId: TENANT },
    { tenantId: TENANT },
  ]);
});
