import type { InstallationRequests, PackageUploads } from "../installation/contracts.ts";
import { type BundleUploads, createBundleUploads } from "../installation/packages/bundle-uploads.ts";
import { createPackageAssets, type PackageAssets } from "../installation/packages/package-assets.ts";
import { createPackageDecoder, type PackageDecoder } from "../installation/packages/package-decoder.ts";
import { createPackageTexts, type PackageTexts } from "../installation/packages/package-texts.ts";
import { createPackageUploads } from "../installation/packages/package-uploads.ts";
import { createInstallationRequests } from "../installation/requests/installation-requests.ts";
import { systemClock } from "../util/clock.ts";
import type { Base } from "./base.ts";
import { archiveSettings, bundleSettings, storageLayout } from "./settings.ts";

/** The use cases that accept archives and requests: for the HTTP APIs, and for tasks that fetch and then install. */
export interface Intake {
  readonly uploads: PackageUploads;
  readonly bundles: BundleUploads;
  readonly texts: PackageTexts;
  readonly decoder: PackageDecoder;
  readonly assets: PackageAssets;
  readonly requests: InstallationRequests;
}

export function createIntake(base: Base): Intake {
  const { config, store, queue, packages, reader, trust, archiveKeeper: keeper, log } = base;
  const { settings, limits } = config;
  const bytesMax = settings.BERTH_PACKAGE_MB_MAX * 1_048_576;
  const clock = systemClock;
  const texts = createPackageTexts({ packages, store, archives: archiveSettings(config) });
  return {
    uploads: createPackageUploads({ packages, store, clock, log, limits, bytesMax, reader, trust, keeper }),
    texts,
    decoder: createPackageDecoder({ packages, reader, store, trust }),
    assets: createPackageAssets({ files: base.files, folder: storageLayout(config).assets, store, texts }),
    bundles: createBundleUploads({
      packages,
      store,
      keeper,
      reader,
      trust,
      clock,
      log,
      settings: bundleSettings(config),
    }),
    requests: createInstallationRequests({
      store,
      queue,
      limits,
      log,
      platformVersion: settings.BERTH_PLATFORM_VERSION,
    }),
  };
}
