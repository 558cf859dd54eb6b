import type { Package } from "../domain/package.ts";
import type { PackageSource } from "./build/build-image.ts";

/** Reads archives again at install: what was checked at upload may have been damaged on disk since. */
export interface PackageAccess {
  /**
   * Opens the archive at the path; safety checks, checksum and manifest must still say what the Package says. Throws
   * `package_damaged` where they do not.
   */
  verify(archivePath: string, pkg: Package, signal: AbortSignal): Promise<PackageSource>;
}
