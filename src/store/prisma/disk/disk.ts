import type { DiskRows } from "../../contracts/disk.ts";
import type { Database } from "../client/database.ts";
import { createImageDisk } from "./disk-images.ts";
import { createPackageDisk } from "./disk-packages.ts";
import { createDiskRunRows } from "./disk-runs.ts";
import { createRuntimeDisk, createTaskDisk } from "./disk-tasks.ts";

export function createDiskRows(db: Database): DiskRows {
  return {
    runs: createDiskRunRows(db),
    images: createImageDisk(db),
    packages: createPackageDisk(db),
    tasks: createTaskDisk(db),
    runtimes: createRuntimeDisk(db),
  };
}
