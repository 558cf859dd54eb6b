/**
 * The contract of a store for archives: bytes under an identifier, immutable once stored. `disk/` is a folder, `s3/` a
 * bucket. Where it cannot be reached, all but `stage` throw `package_store_unavailable`.
 */
export interface PackageStore {
  /** A new path on a local disk to stream an upload into. */
  stage(): Promise<StagedFile>;
  /** Stores the staged file under the identifier; once this resolves it is durable. The first bytes stay: a repetition changes nothing. */
  keep(staged: StagedFile, identifier: string): Promise<void>;
  has(identifier: string): Promise<boolean>;
  /** Opens a local file with the archive's bytes. Throws `package_not_found`, `package_damaged`. */
  open(identifier: string, signal?: AbortSignal): Promise<OpenedPackage>;
  /** Removes the archive, if there is one. */
  remove(identifier: string): Promise<void>;
  /** Yields every archive, in no order; one that is stored or removed meanwhile may be missing. */
  list(signal: AbortSignal): AsyncIterable<StoredArchive>;
  /** Rejects while archives can be neither kept nor opened. */
  ping(signal: AbortSignal): Promise<void>;
}

export interface StoredArchive {
  readonly identifier: string;
  readonly bytes: number;
  readonly keptAt: Date;
}

/** Disposing removes the file unless `keep` has taken it. */
export interface StagedFile extends AsyncDisposable {
  readonly path: string;
}

/** The file stays readable until it is disposed, even if the archive is removed meanwhile. */
export interface OpenedPackage extends AsyncDisposable {
  readonly path: string;
  readonly bytes: number;
}
