import { join } from "node:path";
import { createDiskFiles } from "../../../src/storage/disk/disk-files.ts";
import type { StoragePlace } from "../../../src/storage/storage-place.ts";
import type { StorageSizes } from "../../../src/store/contracts/storage-sizes.ts";

const NO_SIZES: StorageSizes = {
  set: async () => undefined,
  reserve: async () => undefined,
  remove: async () => undefined,
};

/** Plugin storage in a data folder, in Berth's layout. */
export function storagePlaceIn(dataFolder: string, sizes: StorageSizes = NO_SIZES): StoragePlace {
  return {
    files: createDiskFiles({ root: join(dataFolder, "storage") }),
    folder: "persistence",
    formerFolder: join(dataFolder, "storage"),
    lockFolder: join(dataFolder, "storage-locks"),
    sizes,
  };
}
