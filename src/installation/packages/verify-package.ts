import { Fault, isFault, toFault } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import { packageContents, packageFiles } from "../../packages/package-files.ts";
import type { PackageReader } from "../../packages/package-reader.ts";
import type { ReadPackage, ReadPackageOptions } from "../../packages/read-package.ts";
import type { PackageSource } from "../images/build-image.ts";

export interface PackageAccessDeps {
  readonly reader: PackageReader;
  readonly archives: ReadPackageOptions;
}

/** An archive that was read again for an install. */
export interface VerifiedPackage extends PackageSource {
  readonly read: ReadPackage;
}

/**
 * Reads an archive again at install: the disk may have damaged it since its upload. Its paths, manifest and checksum must
 * still give the package's identifier. Throws `package_damaged` where they do not, and `busy`.
 */
export async function verifyPackage(
  { archivePath, pkg }: { readonly archivePath: string; readonly pkg: Package },
  { reader, archives: options }: PackageAccessDeps,
  signal: AbortSignal,
): Promise<VerifiedPackage> {
  const read = await reader.read(archivePath, new Date(0), signal).catch((error: unknown) => {
    signal.throwIfAborted();
    // A busy reader says nothing about the archive.
    if (isFault(error, "busy")) throw error;
    throw damaged(pkg, error);
  });
  if (read.identifier !== pkg.identifier)
    throw damaged(pkg, new Error(`its content is that of ${read.identifier}`));
  return {
    read,
    files: () => packageFiles(archivePath, pkg, options),
    dependencyFiles: () => packageContents(archivePath, pkg, options),
  };
}

function damaged({ identifier }: Package, error: unknown): Fault {
  const found = isFault(error) ? toFault(error).code : undefined;
  return new Fault(
    "package_damaged",
    `The stored archive of ${identifier} is damaged: upload the package again.`,
    {
      details: { field: "identifier", value: identifier, ...(found === undefined ? {} : { found }) },
      cause: error,
    },
  );
}
