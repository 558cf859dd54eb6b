import { join } from "node:path";
import type { Config } from "../config.ts";
import type { Log } from "../observe/log.ts";
import { listDiskPackages, openDiskPackages } from "../packages/disk/disk-packages.ts";
import { copyFormer, withFormer } from "../packages/former-packages.ts";
import type { PackageStore } from "../packages/package-store.ts";
import { BUCKET_DEFAULTS, type BucketSettings, type CacheSettings } from "../packages/s3/settings.ts";
import { systemClock } from "../util/clock.ts";
import type { Scope } from "../util/scope.ts";

const MIB = 1_048_576;
const HOUR_MS = 3_600_000;

export interface OpenPackagesOptions {
  readonly config: Config;
  readonly log: Log;
  readonly scope: Scope;
  /** Aborts when the start is given up. */
  readonly starting: AbortSignal;
  /** PEM text of the authorities that a bucket's server may be signed by; undefined: the public ones. */
  readonly authorities: string | undefined;
  /** This process copies to the bucket what stands only in the folder. */
  readonly copies: boolean;
}

/** The folder of packages, or the bucket that takes its place: what stands in the folder is found all the same. */
export async function openPackages(options: OpenPackagesOptions): Promise<PackageStore> {
  const { config, log, scope, starting, authorities, copies } = options;
  const folder = join(config.dataFolder, "packages");
  const disk = await openDiskPackages({ folder, stagedAgeMaxMs: HOUR_MS });
  const settings = bucketSettings(config, authorities);
  if (settings === undefined) return disk;
  // The vendor's client is of some size: who keeps packages in a folder does not load it.
  const { openS3Packages } = await import("../packages/s3/s3-packages.ts");
  const packages = scope.use(
    await openS3Packages({
      ...{ settings, log, signal: starting },
      folder: join(config.dataFolder, "packages-s3"),
      clock: systemClock,
      startWaitMs: config.settings.BERTH_START_WAIT_SECONDS * 1000,
    }),
  );
  const former = { store: disk, list: () => listDiskPackages(folder) };
  if (copies) {
    const retryMs = config.settings.BERTH_SWEEP_SECONDS * 1000;
    const copying = copyFormer({ packages, former, clock: systemClock, log, retryMs }, scope.signal).catch(
      (error: unknown) => log.error({ op: "packages.copy", ok: false, err: error }),
    );
    scope.add(() => copying);
  }
  return withFormer({ packages, former });
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
    // No build may take longer.
    openedAgeMaxMs: 24 * HOUR_MS,
  };
}
