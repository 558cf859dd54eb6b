import type { InstallationRequests, PackageUploads } from "../installation/contracts.ts";
import { createInstallationRequests } from "../installation/install.ts";
import { createPackageTexts, type PackageTexts } from "../installation/package-texts.ts";
import { createPackageUploads } from "../installation/upload.ts";
import { type BundleUploads, createBundleUploads } from "../installation/upload-bundle.ts";
import { systemClock } from "../util/clock.ts";
import type { Base } from "./base.ts";
import { archiveSettings, bundleSettings } from "./settings.ts";

/** What takes archives and requests in: for the doors, and for the worker's tasks that fetch and then install. */
export interface Intake {
  readonly uploads: PackageUploads;
  readonly bundles: BundleUploads;
  readonly texts: PackageTexts;
  readonly requests: InstallationRequests;
}

export function createIntake(base: Base): Intake {
  const { config, store, queue, packages, reader, trust, archiveKeeper: keeper, log } = base;
  const { settings, limits } = config;
  const bytesMax = settings.BERTH_PACKAGE_MB_MAX * 1_048_576;
  const clock = systemClock;
  return {
    uploads: createPackageUploads({ packages, store, clock, log, limits, bytesMax, reader, trust, keeper }),
    texts: createPackageTexts({ packages, store, archives: archiveSettings(config) }),
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
      ...{ store, queue, limits, log },
      platformVersion: settings.BERTH_PLATFORM_VERSION,
    }),
  };
}
