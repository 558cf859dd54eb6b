/** Where the archives are kept: bytes under an identifier, immutable once there. `disk/` is a folder. */
export interface PackageStore {
  /** A path on a local disk to stream an upload into; the same file system as the store, so that `keep` is a rename. */
  stage(): Promise<StagedFile>;
  /** Keeps the staged file under the identifier. The first bytes stay: keeping again is a no-op. */
  keep(staged: StagedFile, identifier: string): Promise<void>;
  /** A local file with the archive's bytes; throws `package_not_found`. */
  open(identifier: string): Promise<{ readonly path: string; readonly bytes: number }>;
  remove(identifier: string): Promise<void>;
}

/** Disposing removes the file unless it was kept. */
export interface StagedFile extends AsyncDisposable {
  readonly path: string;
}
