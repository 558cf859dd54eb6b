import { join } from "node:path";
import type { StoragePlace } from "../../src/invocation/storage-place.ts";
import { createDiskFiles } from "../../src/packages/disk/disk-files.ts";
import type { StorageSizes } from "../../src/store/storage-sizes.ts";

const NO_SIZES: StorageSizes = {
  set: async () => undefined,
  reserve: async () => undefined,
  remove: async () => undefined,
};

/** Where plugins keep what is theirs, in a data folder as Berth lays it out. */
export function storagePlaceIn(dataFolder: string, sizes: StorageSizes = NO_SIZES): StoragePlace {
  return {
    files: createDiskFiles({ root: join(dataFolder, "storage") }),
    folder: "persistence",
    formerFolder: join(dataFolder, "storage"),
    lockFolder: join(dataFolder, "storage-locks"),
    sizes,
  };
}
