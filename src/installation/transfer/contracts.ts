/** Transfers of packages with their images from one Berth to another. */
import type { Readable } from "node:stream";
import type { Actor } from "../../domain/audit.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";

export interface PackageTransfers {
  /**
   * Writes a file with which another Berth installs and runs the package without any network. Throws `package_not_found`,
   * and `conflict` where the package has no image here.
   */
  export(identifier: string, signal: AbortSignal): Promise<ExportedPackage>;
  /**
   * Reads an export. Checks everything before it stores anything: digests, the archive as at an upload, its signature by
   * the policy, the arch. Throws `export_invalid`, `payload_too_large`, `arch_not_supported`, `signature_*` and what an
   * upload throws, and changes nothing then.
   */
  import(
    body: AsyncIterable<Uint8Array>,
    options: { readonly by?: Actor },
    signal: AbortSignal,
  ): Promise<ImportedPackage>;
}

export interface ExportedPackage extends AsyncDisposable {
  /** Suggested name of the file. */
  readonly name: string;
  readonly bytes: number;
  /** To be read once. Disposing destroys it and removes the staged files. */
  readonly content: Readable;
}

export interface ImportedPackage {
  readonly stored: StoredPackage;
  readonly arch: string;
  /** Key of the image that an install on this engine uses. */
  readonly imageKey: string;
  /** False where the same image had been imported before. */
  readonly created: boolean;
}
