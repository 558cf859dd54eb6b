/** Each kind of what Berth keeps on disk, with its real place: archives in a folder and a bucket, wheels, leftovers. */
import { mkdir, readdir, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RuntimeId } from "../../src/domain/ids.ts";
import type { Area, Found } from "../../src/installation/disk/area.ts";
import { createImageArea } from "../../src/installation/disk/images.ts";
import { createLeftoverArea } from "../../src/installation/disk/leftovers.ts";
import { createPackageArea } from "../../src/installation/disk/packages.ts";
import { plan } from "../../src/installation/disk/plan.ts";
import { createRuntimeLogArea } from "../../src/installation/disk/runtime-logs.ts";
import { createWheelCacheArea } from "../../src/installation/disk/wheel-cache.ts";
import { WHEEL_CACHE_LEASE } from "../../src/installation/images/build-image.ts";
import { ARCHIVE_LEASE, withArchive } from "../../src/installation/packages/archive-lease.ts";
import { silentLog } from "../../src/observe/log.ts";
import { openDiskPackages } from "../../src/packages/disk/disk-packages.ts";
import type { PackageStore } from "../../src/packages/package-store.ts";
import { openS3Storage } from "../../src/packages/s3/open-storage.ts";
import type { Store } from "../../src/store/store.ts";
import { systemClock } from "../../src/util/clock.ts";
import { Scope } from "../../src/util/scope.ts";
import { LocalQueue } from "../harness/doubles/local-queue.ts";
import { DATABASES } from "../harness/rigs/stores.ts";
import { aPackage } from "../harness/samples/tenant-rows.ts";
import { makeFolder } from "../harness/servers/postgres.ts";
import { startS3Server } from "../harness/servers/s3-server.ts";
import { MemoryEngine } from "../support/engine-memory/memory-engine.ts";

const never = new AbortController().signal;
const settings = { graceMs: 0, budgetBytes: 0, leaseMs: 60_000 };
const scope = new Scope();
let store: Store;
let folder: string;
let berthForgets: (identifier: string) => Promise<void>;
beforeAll(async () => {
  const database = scope.use(await DATABASES[1].create());
  berthForgets = async (identifier) => {
    const client = new Client({ connectionString: database.databaseUrl });
    await client.connect();
    await client.query("DELETE FROM berth_packages WHERE identifier = $1", [identifier]);
    await client.end();
  };
  store = scope.use(await database.open());
  folder = scope.use(await makeFolder("disk")).path;
});
afterAll(() => scope.close());

const one = (found: readonly Found[], key: string) => {
  const seen = found.find((it) => it.key === key);
  if (seen === undefined) throw new Error(`nothing is called ${key}`);
  return seen;
};

async function keep(packages: PackageStore, identifier: string): Promise<void> {
  await using staged = await packages.stage();
  await writeFile(staged.path, "archive");
  await packages.keep(staged, identifier);
}

describe.each([
  {
    name: "folder",
    open: () => openDiskPackages({ folder: join(folder, "packages"), stagedAgeMaxMs: 60_000 }),
  },
  {
    name: "bucket",
    open: async () => {
      const server = scope.use(await startS3Server());
      const opened = scope.use(
        await openS3Storage({
          packagesFolder: "plugin_packages",
          settings: server.settings(await server.createBucket()),
          folder: join(folder, "s3"),
          startWaitMs: 0,
          clock: systemClock,
          log: silentLog,
          signal: scope.signal,
        }),
      );
      return opened.packages;
    },
  },
])("archives in a $name", ({ open }) => {
  let packages: PackageStore;
  let area: Area;
  beforeAll(async () => {
    packages = await open();
    area = createPackageArea({
      store,
      packages,
      clock: systemClock,
      settings: { ...settings, uploadDays: 0 },
    });
  });

  it("without a record are removed, and archives of an upload stay whatever the budget", async () => {
    const [kept, stray] = [aPackage(), aPackage()];
    for (const { identifier } of [kept, stray]) await keep(packages, identifier);
    await store.packages.put(kept, {});
    const found = await area.survey(never);
    expect(one(found, kept.identifier)).toMatchObject({ heldBy: ["upload of operator"], bytes: 7 });
    const planned = plan(area, found, { isAsked: true });
    expect(planned.map((it) => it.found.key)).toEqual([stray.identifier]);
    expect(await area.take(one(found, stray.identifier), never)).toBeUndefined();
    expect(await packages.has(stray.identifier)).toBe(false);
    expect(await area.take(one(found, kept.identifier), never)).toBe("it is needed again");
    expect(await packages.has(kept.identifier)).toBe(true);
  });

  it("that only the records of an earlier daemon name are kept", async () => {
    const pkg = aPackage();
    await keep(packages, pkg.identifier);
    await store.packages.put(pkg, {});
    await berthForgets(pkg.identifier);
    const found = await area.survey(never);
    expect(one(found, pkg.identifier)).toMatchObject({ heldBy: ["records of an earlier daemon"] });
    expect(plan(area, found, { isAsked: true }).map((it) => it.found.key)).not.toContain(pkg.identifier);
  });

  it("that an upload is about to record are kept", async () => {
    const pkg = aPackage();
    await keep(packages, pkg.identifier);
    const found = one(await area.survey(never), pkg.identifier);
    await withArchive(
      { store, clock: systemClock, ...ARCHIVE_LEASE },
      pkg.identifier,
      async () => {
        expect(await area.take(found, never)).toBe("it is being uploaded");
        await store.packages.put(pkg, {});
      },
      never,
    );
    expect(await area.take(found, never)).toBe("it is needed again");
    expect(await packages.has(pkg.identifier)).toBe(true);
  });
});

describe("the wheel cache", () => {
  const cache = () => join(folder, "wheels");
  const area = () =>
    createWheelCacheArea({
      store,
      engine: new MemoryEngine({ now: () => Date.now() }),
      clock: systemClock,
      folder: cache(),
      settings,
    });

  async function aWheel(name: string, usedAt: Date): Promise<string> {
    const path = join(cache(), "archive-v0", name);
    await mkdir(join(path, `${name}-1.0.dist-info`), { recursive: true });
    const about = join(path, `${name}-1.0.dist-info`, "WHEEL");
    await writeFile(about, "x".repeat(5000));
    await utimes(about, usedAt, usedAt);
    return join("archive-v0", name);
  }

  it("removes wheels in the order of their last use and keeps its index", async () => {
    await mkdir(join(cache(), "simple-v28"), { recursive: true });
    await writeFile(join(cache(), "simple-v28", "six.rkyv"), "index");
    const newer = await aWheel("newer", new Date(2_000_000));
    const older = await aWheel("older", new Date(1_000_000));
    const found = await area().survey(never);
    const planned = plan({ ...area(), budgetBytes: 0 }, found, { isAsked: false });
    expect(planned.map((it) => it.found.key)).toEqual([older, newer]);
    expect(planned[0]?.found.what).toBe("older-1.0");
    await area().take(one(found, older), never);
    expect(await readdir(join(cache(), "archive-v0"))).toEqual(["newer"]);
    expect(await readdir(cache())).toContain("simple-v28");
  });

  it("is kept while a build uses it, and is leased while it is being emptied", async () => {
    const key = crypto.randomUUID();
    const claim = await store.images.claim(key, "dependencies", "builder", 60_000);
    let worked = 0;
    const work = async () => {
      worked += 1;
      expect(await store.leases.isTaken(WHEEL_CACHE_LEASE)).toBe(true);
    };
    expect(await area().hold?.(work, never)).toBe("a build is using it");
    expect(worked).toBe(0);
    expect(await store.leases.isTaken(WHEEL_CACHE_LEASE)).toBe(false);
    await store.images.fail(key, claim.outcome === "claimed" ? claim.attempt : 0);
    expect(await area().hold?.(work, never)).toBeUndefined();
    expect(worked).toBe(1);
    expect(await store.leases.isTaken(WHEEL_CACHE_LEASE)).toBe(false);
  });
});

it("leftover folders of builds, downloads and uploads are removed, but only when they are no longer in use", async () => {
  const [builds, fetches, uploads] = ["builds", "fetches", "uploads"].map((name) => join(folder, name));
  if (builds === undefined || fetches === undefined || uploads === undefined) throw new Error("no folder");
  const key = crypto.randomUUID();
  const claim = await store.images.claim(key, "dependencies", "builder", 60_000);
  const task = crypto.randomUUID();
  const gone = [join(builds, "0123456789ab"), join(fetches, task), join(uploads, "old")];
  const kept = [join(builds, key.slice(0, 12)), join(uploads, "new")];
  for (const path of [...gone, ...kept]) await mkdir(path, { recursive: true });
  const long = new Date(Date.now() - 7_200_000);
  for (const path of gone) await utimes(path, long, long);
  const engine = new MemoryEngine({ now: () => Date.now() });
  const area = createLeftoverArea({
    store,
    engine,
    clock: systemClock,
    settings,
    folders: [
      { path: builds, what: "build", ageMs: 0, of: "image" },
      { path: fetches, what: "download", ageMs: 0, of: "task" },
      { path: uploads, what: "upload", ageMs: 3_600_000 },
    ],
  });
  const found = await area.survey(never);
  const planned = plan(area, found, { isAsked: false }).map((it) => it.found.key);
  expect(planned.toSorted()).toEqual(gone.toSorted());
  // A build of anything may be about to use its folder: the folders of builds wait for it.
  expect(await area.take(one(found, gone[0] ?? ""), never)).toBe("a build is using it");
  await store.images.fail(key, claim.outcome === "claimed" ? claim.attempt : 0);
  for (const path of gone) expect(await area.take(one(found, path), never)).toBeUndefined();
  for (const path of gone) await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
  for (const path of kept) expect((await stat(path)).isDirectory()).toBe(true);
});

it("logs of removed pools are removed with their runtimes' history, and logs of live runtimes stay", async () => {
  const [gone, there] = ["00000000000000aa", "00000000000000bb"];
  const [dead, live] = [RuntimeId.parse("deadaaaaaa"), RuntimeId.parse("liveaaaaaa")];
  for (const [pool, id] of [
    [gone, dead],
    [there, live],
  ] as const) {
    await mkdir(join(folder, "logs", pool), { recursive: true });
    await writeFile(join(folder, "logs", pool, `${id}.log`), "a line\n");
    const runtime = { id, poolKey: pool, slot: 0, generation: 1, containerName: `c-${id}`, specHash: "h" };
    await store.runtimes.create(runtime);
  }
  await store.runtimes.end(dead, { reason: "stopped" });
  const area = createRuntimeLogArea({ store, clock: systemClock, dataFolder: folder, settings });
  const found = await area.survey(never);
  const planned = plan(area, found, { isAsked: false }).map((it) => it.found);
  expect(planned.map(({ key }) => key).toSorted()).toEqual([`${gone}/${dead}`, `history ${gone}`]);
  for (const it of planned) expect(await area.take(it, never)).toBeUndefined();
  expect(await readdir(join(folder, "logs"))).toEqual([there]);
  expect(await store.runtimes.find(dead)).toBeUndefined();
  expect(await area.take(one(found, `${there}/${live}`), never)).toBe("it is needed again");
});

it("an image whose removal was interrupted is removed by the next pass, and so is an image without a record", async () => {
  const engine = new MemoryEngine({ now: () => Date.now() });
  const labels = { "berth.instance": store.instanceId, "berth.kind": "image" };
  const area = createImageArea({
    store,
    engine,
    queue: new LocalQueue(),
    clock: systemClock,
    holder: "gc",
    settings: { ...settings, idleMsMin: 0, removalLeaseMs: 60_000 },
  });
  const key = crypto.randomUUID();
  const claim = await store.images.claim(key, "package", "builder", 60_000, { identifier: "acme/none:1@a" });
  engine.addImage(`ref:${key}`, { ...labels, "berth.image-key": key });
  const attempt = claim.outcome === "claimed" ? claim.attempt : 0;
  await store.images.publish(key, attempt, { imageRef: `ref:${key}`, bytes: 1, warnings: [] });
  const stray = engine.addImage("stray:1", { ...labels, "berth.image-key": "none" });
  const strangers = engine.addImage("strangers:1", { "berth.instance": "another", "berth.kind": "image" });
  const runtime = engine.addImage("runtime:1", { "berth.kind": "runtime-image" });
  const [row] = (await store.disk.images.list()).filter((image) => image.key === key);
  // A worker that dies right after it has begun.
  await store.disk.images.take({ key, uses: row?.uses ?? 0 }, "dead", 0);
  const found = await area.survey(never);
  const planned = plan(area, found, { isAsked: true }).filter(({ found: it }) =>
    [key, stray].includes(it.key),
  );
  expect(planned.map(({ found: it, reason }) => [it.key, reason]).toSorted()).toEqual(
    [
      [key, "its removal was interrupted"],
      [stray, "no record of it is left"],
    ].toSorted(),
  );
  for (const it of planned) expect(await area.take(it.found, never)).toBeUndefined();
  expect(await store.images.find(key)).toBeUndefined();
  expect(await engine.findImage(`ref:${key}`, never)).toBeUndefined();
  for (const id of [strangers, runtime]) expect(await engine.findImage(id, never)).toBeDefined();
});
