/** Opens a bucket as the storage: its archives, those in the layout of earlier releases, and other files. */
import type { Log } from "../../observe/log.ts";
import type { FileStore } from "../../storage/file-store.ts";
import { Bucket } from "../../storage/s3/bucket.ts";
import { type ReachBucketOptions, reachBucket } from "../../storage/s3/reach-bucket.ts";
import { createS3Files } from "../../storage/s3/s3-files.ts";
import type { BucketSettings, CacheSettings } from "../../storage/s3/settings.ts";
import { speakTo } from "../../storage/s3/speak.ts";
import type { FormerPackages } from "../former-packages.ts";
import type { PackageStore } from "../package-store.ts";
import { openPackageCache } from "./package-cache.ts";
import { S3Packages } from "./s3-packages.ts";

export interface S3StorageOptions extends ReachBucketOptions {
  readonly settings: BucketSettings & CacheSettings;
  /** Local folder for running uploads and fetched archives; created when it is missing. */
  readonly folder: string;
  /** Folder of archives below the prefix. */
  readonly packagesFolder: string;
  readonly log: Log;
}

export interface S3Storage extends AsyncDisposable {
  readonly packages: PackageStore;
  /** Archives that earlier releases stored directly below the prefix, with `.difypkg` after the identifier. */
  readonly former: FormerPackages;
  readonly files: FileStore;
}

/**
 * Resolves once the bucket can be read and written. Throws `package_store_unavailable`, which names endpoint, bucket and
 * cause: at once for a cause that does not pass, else after `startWaitMs` without an answer.
 */
export async function openS3Storage(options: S3StorageOptions): Promise<S3Storage> {
  const { folder, packagesFolder, settings, clock, log } = options;
  const { prefix } = settings;
  const bucket = new Bucket({ settings, clock });
  const speak = speakTo(settings);
  try {
    await reachBucket(bucket, options);
    const cache = await openPackageCache({ folder, settings, log });
    const parts = { bucket, cache, speak, log };
    const formerStore = new S3Packages({ ...parts, keys: { start: prefix, end: ".difypkg" } });
    return {
      packages: new S3Packages({ ...parts, keys: { start: `${prefix}${packagesFolder}/`, end: "" } }),
      former: { store: formerStore, list: () => listAll(formerStore) },
      files: createS3Files({ bucket, prefix, speak }),
      [Symbol.asyncDispose]: async () => bucket.close(),
    };
  } catch (error) {
    bucket.close();
    throw error;
  }
}

async function listAll(store: PackageStore): Promise<readonly string[]> {
  const found = await Array.fromAsync(store.list(new AbortController().signal));
  return found.map(({ identifier }) => identifier).toSorted();
}
