/**
 * The layout of the storage, the same in a folder and in a bucket: that of dify-plugin-daemon, so that each can take
 * over from the other.
 */

/** Paths below the root, without a slash at either end. */
export interface StorageFolders {
  /** Archives by identifier, as uploaded. */
  readonly packages: string;
  /** The same bytes under the same names, while any tenant has the package installed. */
  readonly installed: string;
  /** Icons, by the names that declarations show. */
  readonly assets: string;
  /** Plugins' data: `TENANT/AUTHOR/NAME/KEY`. */
  readonly persistence: string;
}

export interface StorageLayout extends StorageFolders {
  /** Absolute path of a folder; a bucket's objects are below its prefix instead. */
  readonly root: string;
}
