import { join } from "node:path";
import type { StoragePlace } from "../storage/storage-place.ts";
import type { Base } from "./base.ts";
import { storageLayout } from "./settings.ts";

/** Where plugins' data is stored. */
export function storagePlace({
  config,
  store,
  files,
}: Pick<Base, "config" | "store" | "files">): StoragePlace {
  return {
    files,
    folder: storageLayout(config).persistence,
    formerFolder: join(config.dataFolder, "storage"),
    lockFolder: join(config.dataFolder, "storage-locks"),
    sizes: store.storageSizes,
  };
}
