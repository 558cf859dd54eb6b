import { join } from "node:path";
import type { Config } from "../config.ts";
import type { Area } from "../installation/disk/area.ts";
import { createBuildLogArea } from "../installation/disk/build-logs.ts";
import { startDiskKeeper } from "../installation/disk/disk-keeper.ts";
import { createImageArea } from "../installation/disk/images.ts";
import { createLeftoverArea, type WorkFolder } from "../installation/disk/leftovers.ts";
import { createPackageArea } from "../installation/disk/packages.ts";
import { createRuntimeLogArea } from "../installation/disk/runtime-logs.ts";
import { createWheelCacheArea } from "../installation/disk/wheel-cache.ts";
import { systemClock } from "../util/clock.ts";
import type { Base } from "./base.ts";
import { storageLayout, wheelFolders } from "./settings.ts";
import type { EngineSide } from "./worker.ts";

const MIB = 1_048_576;
const HOUR_MS = 3_600_000;

/** Starts the garbage collection of what Berth stores on disk. */
export async function startDisk(base: Base, { engine }: EngineSide): Promise<void> {
  const { config, log, scope, store, queue } = base;
  const { settings: s } = config;
  scope.use(
    await startDiskKeeper({
      store,
      queue,
      log,
      clock: systemClock,
      areas: createAreas(base, engine),
      settings: {
        everyMs: s.BERTH_DISK_GC_SECONDS * 1000,
        pollMs: s.BERTH_POLL_SECONDS * 1000,
        leaseMs: s.BERTH_LEASE_SECONDS * 1000,
        runsKept: 100,
      },
    }),
  );
}

/** In the order in which they are collected: removing a package frees its images in the same pass. */
function createAreas(base: Base, engine: EngineSide["engine"]): readonly Area[] {
  const { config, store, queue, packages, processId } = base;
  const { settings: s, dataFolder } = config;
  const clock = systemClock;
  const graceMs = s.BERTH_DISK_GRACE_SECONDS * 1000;
  const leaseMs = s.BERTH_LEASE_SECONDS * 1000;
  const budget = (mb: number) => ({ graceMs, leaseMs, budgetBytes: mb * MIB });
  return [
    createPackageArea({
      store,
      packages,
      clock,
      settings: { ...budget(s.BERTH_DISK_PACKAGES_MB), uploadDays: s.BERTH_UPLOAD_DAYS },
    }),
    createImageArea({
      store,
      engine,
      queue,
      clock,
      holder: processId,
      // Longer than any single call of the engine.
      settings: {
        ...budget(s.BERTH_DISK_IMAGES_MB),
        removalLeaseMs: Math.max(leaseMs, 60_000),
        idleMsMin: Math.min(graceMs, 60_000),
      },
    }),
    createWheelCacheArea({
      store,
      engine,
      clock,
      folder: wheelFolders(config).cacheFolder,
      settings: budget(s.BERTH_DISK_WHEELS_MB),
    }),
    createBuildLogArea({
      store,
      settings: { ...budget(s.BERTH_DISK_BUILD_LOGS_MB), taskDays: s.BERTH_TASK_DAYS },
    }),
    createRuntimeLogArea({ store, clock, dataFolder, settings: budget(s.BERTH_DISK_RUNTIME_LOGS_MB) }),
    createLeftoverArea({
      store,
      engine,
      clock,
      folders: workFolders(config, graceMs),
      settings: { graceMs, leaseMs },
    }),
  ];
}

function workFolders(config: Config, graceMs: number): readonly WorkFolder[] {
  const { dataFolder } = config;
  const storage = storageLayout(config);
  // No upload, and no download of an archive, takes an hour; no build takes a day.
  const ageMs = Math.max(graceMs, HOUR_MS);
  return [
    { path: wheelFolders(config).workFolder, what: "folder of a build", ageMs: graceMs, of: "image" },
    { path: join(dataFolder, "fetches"), what: "download of task", ageMs: graceMs, of: "task" },
    { path: join(dataFolder, "transfers"), what: "export or import", ageMs: 24 * HOUR_MS },
    { path: join(storage.root, storage.packages, ".staging"), what: "upload", ageMs },
    // From an earlier release.
    { path: join(dataFolder, "packages", ".staging"), what: "upload", ageMs },
    { path: join(storage.root, ".staging"), what: "file of the storage", ageMs },
    { path: join(dataFolder, "packages-s3", "partial"), what: "upload or download", ageMs },
    { path: join(dataFolder, "packages-s3", "opened"), what: "opened archive", ageMs: 24 * HOUR_MS },
  ];
}
