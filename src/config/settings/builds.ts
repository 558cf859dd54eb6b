/** How images are built, and how often an install is retried. */
import { decimal, indexUrl, indexUrls, oneOf, type Setting, whole } from "../kinds.ts";

export const BUILDS = {
  BERTH_PACKAGE_INDEX_URL: indexUrl(
    "Package index that builds use instead of the public one; may contain a password",
  ),
  BERTH_PACKAGE_EXTRA_INDEX_URLS: indexUrls(
    "Package indexes that builds query first, separated by spaces; may contain passwords",
  ),
  BERTH_PACKAGE_INDEX_RETRIES: whole(
    0,
    100,
    "3",
    "Retries of one request to a package index before the build fails",
  ),
  BERTH_PYTHON_VERSION: oneOf(
    ["nearest", "exact"],
    "nearest",
    "What happens to a package whose Python version is not available: `nearest` uses the next newer one, with a warning; `exact` refuses the package",
  ),
  BERTH_SOURCE_BUILDS: oneOf(
    ["allow", "refuse"],
    "allow",
    "What happens to a requirement without a fitting wheel, or with an address of its own: `allow` builds it in a container of its own; `refuse` refuses the package. A tenant may have a policy of its own",
  ),
  BERTH_BUILD_MEMORY_MB: whole(64, 1_048_576, "2048", "Memory of a build (MiB)"),
  BERTH_BUILD_DISK_MB: whole(16, 16_777_216, "4096", "Disk space of a build (MiB)"),
  BERTH_BUILD_CPUS: decimal(0.1, 1024, "2", "CPUs of a build"),
  BERTH_BUILD_SECONDS_MAX: decimal(1, 86_400, "600", "Maximum time of a build"),
  BERTH_BUILD_SILENCE_SECONDS_MAX: decimal(0.1, 86_400, "120", "Maximum time of a build without progress"),
  BERTH_BUILDS_MAX: whole(1, 64, "2", "Maximum number of concurrent builds"),
  BERTH_IMPORT_MB_MAX: whole(1, 16_777_216, "8192", "Maximum size of an imported image (MiB)"),
  BERTH_INSTALL_RETRIES_MAX: whole(
    0,
    1000,
    "5",
    "Maximum number of retries of an install after a temporary failure",
  ),
  BERTH_INSTALL_RETRY_SECONDS: decimal(
    0.01,
    3600,
    "2",
    "Delay before the first retry; later retries wait longer",
  ),
} as const satisfies Record<string, Setting<unknown>>;
