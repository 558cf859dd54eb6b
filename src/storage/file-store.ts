/**
 * Files of the storage beside the archives: what plugins keep, icons, copies of what is installed. `disk/` is a folder,
 * `s3/` a bucket. Paths are relative, with `/`; who makes one of foreign text checks that text. Where the place cannot
 * be reached, all throw `package_store_unavailable`.
 */
export interface FileStore {
  /** Undefined where there is no such file. */
  read(path: string): Promise<Buffer | undefined>;
  /** Bytes; undefined where there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** In place of what is there; whole or not at all, and durable once it resolves. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** The same with the bytes of a local file, which nobody changes; the two may be one file afterwards. */
  writeFrom(path: string, localFile: string): Promise<void>;
  /** False where there was no such file. */
  remove(path: string): Promise<boolean>;
  /** Every file below the folder, in no order. */
  list(folder: string, signal: AbortSignal): AsyncIterable<StoredFile>;
  /** With all below it; repeated, it does nothing. */
  removeFolder(folder: string): Promise<void>;
}

export interface StoredFile {
  /** Below the folder that was asked for. */
  readonly path: string;
  readonly bytes: number;
}
