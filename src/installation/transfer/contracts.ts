/** Packages with their images, carried from one Berth to another. */
import type { Readable } from "node:stream";
import type { Actor } from "../../domain/audit.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";

export interface PackageTransfers {
  /**
   * Gathers what another Berth needs to install the Package and run it without any network. Throws `package_not_found`,
   * and `conflict` where the Package has no image here.
   */
  export(identifier: string, signal: AbortSignal): Promise<ExportedPackage>;
  /**
   * Takes an export. Everything in it is checked before anything is kept: digests, the archive as at an upload, its
   * signature by the policy, the arch. Throws `export_invalid`, `payload_too_large`, `arch_not_supported`, `signature_*`,
   * what an upload throws; nothing is left then but what was there before.
   */
  import(
    body: AsyncIterable<Uint8Array>,
    options: { readonly by?: Actor },
    signal: AbortSignal,
  ): Promise<ImportedPackage>;
}

export interface ExportedPackage extends AsyncDisposable {
  /** Name for the file. */
  readonly name: string;
  readonly bytes: number;
  /** Read once. Disposing ends it, and removes what was gathered. */
  readonly content: Readable;
}

export interface ImportedPackage {
  readonly stored: StoredPackage;
  readonly arch: string;
  /** Of its row: what an install on this Engine uses. */
  readonly imageKey: string;
  /** False where the same image had been imported before. */
  readonly created: boolean;
}
