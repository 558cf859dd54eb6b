/**
 * Where the archives are kept: bytes under an identifier, immutable once there. `disk/` is a folder, `s3/` a bucket.
 * Where the place cannot be reached, all but `stage` throw `package_store_unavailable`.
 */
export interface PackageStore {
  /** A path on a local disk to stream an upload into. */
  stage(): Promise<StagedFile>;
  /** Keeps the staged file under the identifier. The first bytes stay: keeping again is a no-op. */
  keep(staged: StagedFile, identifier: string): Promise<void>;
  has(identifier: string): Promise<boolean>;
  /** A local file with the archive's bytes; throws `package_not_found`, `package_damaged`. */
  open(identifier: string, signal?: AbortSignal): Promise<OpenedPackage>;
  /** Removing what is not there is no error. */
  remove(identifier: string): Promise<void>;
  /** Every archive that is there, in no order; what comes or goes meanwhile may be missing. */
  list(signal: AbortSignal): AsyncIterable<StoredArchive>;
  /** Rejects while archives can be neither kept nor opened. */
  ping(signal: AbortSignal): Promise<void>;
}

export interface StoredArchive {
  readonly identifier: string;
  readonly bytes: number;
  readonly keptAt: Date;
}

/** Disposing removes the file unless it was kept. */
export interface StagedFile extends AsyncDisposable {
  readonly path: string;
}

/** The file stays until it is disposed, whatever happens to the archive meanwhile. */
export interface OpenedPackage extends AsyncDisposable {
  readonly path: string;
  readonly bytes: number;
}
