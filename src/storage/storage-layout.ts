/**
 * Where things stand below the root of the storage, in a folder and in a bucket alike: the layout of
 * dify-plugin-daemon, so that either can take over what the other has left.
 */

/** Paths below the root, without a slash at either end. */
export interface StorageFolders {
  /** Archives by identifier, as they were uploaded. */
  readonly packages: string;
  /** The same bytes under the same names, while some Tenant has the Package installed. */
  readonly installed: string;
  /** Icons, by the names under which Declarations show them. */
  readonly assets: string;
  /** What plugins keep: `TENANT/AUTHOR/NAME/KEY`. */
  readonly persistence: string;
}

export interface StorageLayout extends StorageFolders {
  /** Absolute path of a folder; a bucket's objects stand below its prefix instead. */
  readonly root: string;
}
