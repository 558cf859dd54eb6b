import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLog } from "../../src/observe/log.ts";
import { openDiskPackages } from "../../src/packages/disk/disk-packages.ts";
import { copyFormer, withFormer } from "../../src/packages/former-packages.ts";
import { openS3Storage } from "../../src/packages/s3/open-storage.ts";
import { createDiskFiles } from "../../src/storage/disk/disk-files.ts";
import type { FileStore } from "../../src/storage/file-store.ts";
import { withFormerFiles } from "../../src/storage/former-files.ts";
import { systemClock } from "../../src/util/clock.ts";
import { Scope } from "../../src/util/scope.ts";
import { makeFolder } from "../harness/servers/postgres.ts";
import { type S3Server, startS3Server } from "../harness/servers/s3-server.ts";
import { anIdentifier, keepText, readText } from "./package-store.contract.ts";

const scope = new Scope();
const never = new AbortController().signal;
let server: S3Server;
beforeAll(async () => {
  server = scope.use(await startS3Server());
});
afterAll(() => scope.close());

async function openBucket(changes: { readonly prefix?: string } = {}) {
  const bucket = await server.createBucket();
  const opened = scope.use(
    await openS3Storage({
      settings: { ...server.settings(bucket), ...changes },
      folder: scope.use(await makeFolder("s3-files")).path,
      packagesFolder: "plugin_packages",
      startWaitMs: 0,
      clock: systemClock,
      log: silentLog,
      signal: scope.signal,
    }),
  );
  return { bucket, ...opened };
}

const folder = async () => createDiskFiles({ root: scope.use(await makeFolder("files")).path });
const list = (files: FileStore, of: string) => Array.fromAsync(files.list(of, never));
const text = async (files: FileStore, path: string) => (await files.read(path))?.toString();

describe.each([
  { name: "folder", open: folder },
  { name: "bucket", open: async () => (await openBucket()).files },
  { name: "bucket without a prefix", open: async () => (await openBucket({ prefix: "" })).files },
  {
    name: "bucket that replaces a folder",
    open: async () => withFormerFiles({ files: (await openBucket()).files, former: await folder() }),
  },
])("files in a $name", ({ open }) => {
  let files: FileStore;
  beforeAll(async () => {
    files = await open();
  });

  it("are read as they were written, and the last write counts", async () => {
    for (const value of ["first", "", "thé third"]) {
      await files.write("a/b c/d", Buffer.from(value));
      expect(await text(files, "a/b c/d")).toBe(value);
      expect(await files.size("a/b c/d")).toBe(Buffer.byteLength(value));
    }
  });

  it("that do not exist read as undefined, even above and below an existing file", async () => {
    await files.write("x/y", Buffer.from("1"));
    for (const path of ["x", "x/y/z", "x/no", "no/no"]) {
      expect([path, await files.read(path), await files.size(path)]).toEqual([path, undefined, undefined]);
      expect(await files.remove(path)).toBe(false);
    }
    expect(await files.remove("x/y")).toBe(true);
    expect(await files.remove("x/y")).toBe(false);
    await files.write("x", Buffer.from("a file in the place of a folder"));
    expect(await files.size("x")).toBe(31);
  });

  it("are copied from a local file, and a later copy replaces them", async () => {
    const local = scope.use(await makeFolder("local")).path;
    await writeFile(join(local, "f"), "from there");
    for (let turn = 0; turn < 2; turn += 1) await files.writeFrom("copies/f", join(local, "f"));
    await writeFile(join(local, "g"), "anew");
    await files.writeFrom("copies/f", join(local, "g"));
    expect(await text(files, "copies/f")).toBe("anew");
  });

  it("are listed with their sizes below a folder, and removed with it", async () => {
    for (const path of ["l/1", "l/2/3", "l/2/.hidden", "l2/not-this"])
      await files.write(path, Buffer.from("ab"));
    const found = await list(files, "l");
    expect(found.toSorted((a, b) => a.path.localeCompare(b.path))).toEqual(
      ["1", "2/.hidden", "2/3"].map((path) => ({ path, bytes: 2 })),
    );
    for (let turn = 0; turn < 2; turn += 1) await files.removeFolder("l");
    expect(await list(files, "l")).toEqual([]);
    expect(await text(files, "l2/not-this")).toBe("ab");
  });
});

it("files of a folder are found after a bucket replaces it, until they are written again or removed", async () => {
  const [{ files: inBucket }, former] = [await openBucket(), await folder()];
  for (const path of ["p/1", "p/2", "p/3"]) await former.write(path, Buffer.from("old"));
  const files = withFormerFiles({ files: inBucket, former });
  await files.write("p/1", Buffer.from("new!"));
  await files.remove("p/2");
  expect([await text(files, "p/1"), await text(files, "p/2"), await text(files, "p/3")]).toEqual([
    "new!",
    undefined,
    "old",
  ]);
  expect(await former.size("p/1")).toBeUndefined();
  expect((await list(files, "p")).toSorted((a, b) => a.path.localeCompare(b.path))).toEqual([
    { path: "1", bytes: 4 },
    { path: "3", bytes: 3 },
  ]);
});

it("archives in the earlier layout of a bucket are found, and are moved to where the daemon looks for them", async () => {
  const { bucket, packages, former } = await openBucket();
  const [first, second] = [anIdentifier(), anIdentifier()];
  for (const identifier of [first, second]) await keepText(former.store, identifier, identifier);
  await keepText(packages, second, "is there already");
  const both = withFormer({ packages, former });
  expect(await readText(both, first)).toBe(first);
  const options = { packages, former, clock: systemClock, log: silentLog, retryMs: 10, empties: true };
  expect(await copyFormer(options, never)).toBe(true);
  expect([await former.list(), await packages.has(first)]).toEqual([[], true]);
  expect([await readText(both, first), await readText(both, second)]).toEqual([first, "is there already"]);
  const daemons = await openDiskPackages({
    folder: server.fileOf(bucket, "berth/plugin_packages"),
    stagedAgeMaxMs: 1000,
  });
  expect(await readText(daemons, first)).toBe(first);
});

it("an archive that a daemon put into the bucket is read unchanged", async () => {
  const { files, packages } = await openBucket({ prefix: "" });
  const identifier = anIdentifier();
  await files.write(`plugin_packages/${identifier}`, Buffer.from("the daemon's"));
  expect(await readText(packages, identifier)).toBe("the daemon's");
  expect((await Array.fromAsync(packages.list(never))).map((found) => found.identifier)).toEqual([
    identifier,
  ]);
});
