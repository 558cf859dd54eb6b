import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packFolder } from "./archive/pack.ts";
import { createPackageReader } from "./package-reader.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "./read-package.ts";

const EXAMPLE = join(import.meta.dirname, "../../examples/seed-echo");
const at = new Date("2026-01-02T03:04:05Z");
const never = new AbortController().signal;
const open = (times: { cpuMsMax?: number; timeoutMs?: number } = {}) =>
  createPackageReader({
    archives: DEFAULT_READ_OPTIONS,
    cpuMsMax: 30_000,
    timeoutMs: 60_000,
    ...times,
    heapMbMax: 256,
    threadsMax: 2,
  });

let folder: string;
let archive: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-reader-"));
  archive = (await packFolder({ folder: EXAMPLE, output: join(folder, "a.difypkg") })).output;
});
afterAll(() => rm(folder, { recursive: true }));

test("the reader's thread reads the same package as this thread", async () => {
  await using reader = open();
  const here = await readPackage(archive, at, DEFAULT_READ_OPTIONS);
  const there = await Promise.all([1, 2, 3].map(() => reader.read(archive, at, never)));
  expect(there).toEqual([here, here, here]);
});

test("a refusal by the thread keeps its code, message and details", async () => {
  const text = join(folder, "b.difypkg");
  await writeFile(text, "not a zip");
  const here = await readPackage(text, at, DEFAULT_READ_OPTIONS).catch((error) => error);
  await using reader = open();
  const there = await reader.read(text, at, never).catch((error) => error);
  expect(there).toMatchObject({
    name: "Fault",
    code: "package_not_zip",
    message: here.message,
    details: here.details,
  });
});

test("a package that takes too much processor time is refused, and the refusal names the limit", async () => {
  await using reader = open({ cpuMsMax: 1 });
  await expect(reader.read(archive, at, never)).rejects.toMatchObject({
    code: "package_too_large",
    message: expect.stringContaining("1 ms of a processor"),
  });
});

test("a package that a busy machine does not read in time is busy, not too large, and may be retried", async () => {
  await using reader = open({ timeoutMs: 1 });
  const refused = await reader.read(archive, at, never).catch((error) => error);
  expect(refused).toMatchObject({ code: "busy", rule: { retry: true } });
});

test("an abort ends the read with its reason", async () => {
  const abort = new AbortController();
  await using reader = open();
  const reading = reader.read(archive, at, abort.signal);
  abort.abort(new Error("gone"));
  await expect(reading).rejects.toThrow("gone");
  expect(await reader.read(archive, at, never)).toMatchObject({ pluginId: "berth/seed_echo" });
});
