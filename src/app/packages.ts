import { join } from "node:path";
import type { Config } from "../config.ts";
import type { Log } from "../observe/log.ts";
import { listDiskPackages, openDiskPackages } from "../packages/disk/disk-packages.ts";
import { moveFormerArchives } from "../packages/disk/former-layout.ts";
import { type CopyOptions, copyFormer, withFormer } from "../packages/former-packages.ts";
import type { PackageStore } from "../packages/package-store.ts";
import { createDiskFiles } from "../storage/disk/disk-files.ts";
import type { FileStore } from "../storage/file-store.ts";
import { withFormerFiles } from "../storage/former-files.ts";
import { BUCKET_DEFAULTS, type BucketSettings, type CacheSettings } from "../storage/s3/settings.ts";
import { systemClock } from "../util/clock.ts";
import type { Scope } from "../util/scope.ts";
import { storageLayout } from "./settings.ts";

const MIB = 1_048_576;
const HOUR_MS = 3_600_000;

export interface OpenStorageOptions {
  readonly config: Config;
  readonly log: Log;
  readonly scope: Scope;
  /** Aborts when the start fails or is cancelled. */
  readonly starting: AbortSignal;
  /** PEM text of the trusted authorities for a bucket's server; undefined: the public ones. */
  readonly authorities: string | undefined;
  /** Whether this process copies to the bucket what exists only in a former place. */
  readonly copies: boolean;
}

export interface OpenedStorage {
  readonly packages: PackageStore;
  readonly files: FileStore;
}

/** Written once no archive is left where earlier releases stored them in a bucket. */
const LAYOUT_MARK = ".berth-layout";

/**
 * The folder of the storage, or the bucket that replaces it; packages that exist only in the folder are still found.
 */
export async function openStorage(options: OpenStorageOptions): Promise<OpenedStorage> {
  const { config, log, scope, starting, authorities } = options;
  const { root, packages: packagesFolder } = storageLayout(config);
  const folder = join(root, packagesFolder);
  const disk = await openDiskPackages({ folder, stagedAgeMaxMs: HOUR_MS });
  await moveFormerArchives({ former: join(config.dataFolder, "packages"), folder, log });
  const settings = bucketSettings(config, authorities);
  if (settings === undefined) return { packages: disk, files: createDiskFiles({ root }) };
  // The vendor's client is large: a process that stores packages in a folder does not load it.
  const { openS3Storage } = await import("../packages/s3/open-storage.ts");
  const bucket = scope.use(
    await openS3Storage({
      settings,
      log,
      packagesFolder,
      signal: starting,
      folder: join(config.dataFolder, "packages-s3"),
      clock: systemClock,
      startWaitMs: config.settings.BERTH_START_WAIT_SECONDS * 1000,
    }),
  );
  const { packages } = bucket;
  const files = withFormerFiles({ files: bucket.files, former: createDiskFiles({ root }) });
  const former = { store: disk, list: () => listDiskPackages(folder) };
  copyAside(options, async (copy) => void (await copy({ packages, former })));
  const isNewLayout = (await files.size(LAYOUT_MARK)) !== undefined;
  if (isNewLayout) return { packages: withFormer({ packages, former }), files };
  copyAside(options, async (copy) => {
    const all = await copy({ packages, former: bucket.former, empties: true });
    if (all) await files.write(LAYOUT_MARK, Buffer.from("1\n"));
  });
  const both = withFormer({ packages, former: bucket.former });
  return { packages: withFormer({ packages: both, former }), files };
}

type CopyWhat = Pick<CopyOptions, "packages" | "former" | "empties">;

/** Copies in the background while Berth serves. */
function copyAside(
  { config, log, scope, copies }: OpenStorageOptions,
  work: (copy: (what: CopyWhat) => Promise<boolean>) => Promise<void>,
): void {
  if (!copies) return;
  const retryMs = config.settings.BERTH_SWEEP_SECONDS * 1000;
  const options = { clock: systemClock, log, retryMs };
  const copying = work((what) => copyFormer({ ...options, ...what }, scope.signal)).catch((error: unknown) =>
    log.error({ op: "packages.copy", ok: false, err: error }),
  );
  scope.add(() => copying);
}

function bucketSettings(
  { settings: s }: Config,
  caBundle: string | undefined,
): (BucketSettings & CacheSettings) | undefined {
  const { BERTH_S3_BUCKET: bucket, BERTH_S3_ENDPOINT: endpoint, BERTH_S3_PREFIX: prefix = "" } = s;
  if (bucket === undefined || endpoint === undefined) return undefined;
  const { BERTH_S3_ACCESS_KEY_ID: accessKeyId, BERTH_S3_SECRET_ACCESS_KEY: secretAccessKey } = s;
  const isKeyGiven = accessKeyId !== undefined && secretAccessKey !== undefined;
  return {
    ...BUCKET_DEFAULTS,
    endpoint: new URL(endpoint).origin,
    region: s.BERTH_S3_REGION,
    bucket,
    prefix: prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`,
    pathStyle: s.BERTH_S3_PATH_STYLE === "yes",
    credentials: isKeyGiven ? { accessKeyId, secretAccessKey } : undefined,
    caBundle,
    cacheBytesMax: s.BERTH_S3_CACHE_MB * MIB,
    stagedAgeMaxMs: HOUR_MS,
    // No build takes longer.
    openedAgeMaxMs: 24 * HOUR_MS,
  };
}
