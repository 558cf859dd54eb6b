/**
 * Files of the storage beside the archives: plugins' data, icons, copies of installed packages. `disk/` is a folder,
 * `s3/` a bucket. Paths are relative, with `/`; a caller that builds one from foreign text checks that text. All
 * methods throw `package_store_unavailable` where the storage cannot be reached.
 */
export interface FileStore {
  /** Undefined where there is no such file. */
  read(path: string): Promise<Buffer | undefined>;
  /** Bytes; undefined where there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** Replaces an existing file; whole or not at all, and durable once it resolves. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** The same with the bytes of a local file, which must not change: afterwards both may be one file. */
  writeFrom(path: string, localFile: string): Promise<void>;
  /** False where there was no such file. */
  remove(path: string): Promise<boolean>;
  /** Every file below the folder, in no particular order. */
  list(folder: string, signal: AbortSignal): AsyncIterable<StoredFile>;
  /** With everything below it; repeating it does nothing. */
  removeFolder(folder: string): Promise<void>;
}

export interface StoredFile {
  /** Relative to the listed folder. */
  readonly path: string;
  readonly bytes: number;
}
