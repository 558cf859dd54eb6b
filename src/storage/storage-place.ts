/** Where plugins' data is stored: in the daemon's layout, and where earlier releases left it. */
import { createHash } from "node:crypto";
import { readdir, readFile, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { StorageSizes } from "../store/contracts/storage-sizes.ts";
import { errorCode } from "../util/error-code.ts";
import type { FileStore } from "./file-store.ts";

/** Where plugins' data is, and what is needed to write it safely. */
export interface StoragePlace {
  readonly files: FileStore;
  /** In `files`: below it `TENANT/AUTHOR/NAME/KEY`. */
  readonly folder: string;
  /**
   * Absolute path where earlier releases stored `TENANT/AUTHOR/NAME/SHA256(KEY)`. A hash does not reveal its key, so a
   * value moves to its new place when its key is next used.
   */
  readonly formerFolder: string;
  /** Absolute path, on a disk that all processes share. */
  readonly lockFolder: string;
  readonly sizes: StorageSizes;
}

/** The data of one plugin for one tenant in the former layout. */
export class FormerStorage {
  readonly #folder: string;
  readonly #tenantFolder: string;

  constructor({ formerFolder }: Pick<StoragePlace, "formerFolder">, tenantId: string, pluginId?: string) {
    this.#tenantFolder = join(formerFolder, tenantId);
    this.#folder = join(this.#tenantFolder, ...(pluginId?.split("/") ?? []));
  }

  async read(key: string): Promise<Buffer | undefined> {
    return await readFile(this.#fileOf(key)).catch(absent);
  }

  async has(key: string): Promise<boolean> {
    return (await stat(this.#fileOf(key)).catch(absent)) !== undefined;
  }

  async remove(key: string): Promise<boolean> {
    if (!(await this.has(key))) return false;
    await rm(this.#fileOf(key), { force: true });
    await this.#removeEmptyFolders();
    return true;
  }

  async removeAll(): Promise<void> {
    for (const path of [this.#folder, `${this.#folder}.lock`])
      await rm(path, { recursive: true, force: true });
    await this.#removeEmptyFolders();
  }

  /** Sizes of all values except that of the key. */
  async sizes(but?: string): Promise<readonly number[]> {
    const entries = await readdir(this.#folder, { withFileTypes: true, recursive: true }).catch(absent);
    const skipped = but === undefined ? undefined : this.#fileOf(but);
    const sizes: number[] = [];
    for (const entry of entries ?? []) {
      const path = join(entry.parentPath, entry.name);
      // Locks, and drafts of processes that died, have a dot in their names.
      if (!entry.isFile() || entry.name.includes(".") || path === skipped) continue;
      sizes.push((await stat(path).catch(absent))?.size ?? 0);
    }
    return sizes;
  }

  #fileOf(key: string): string {
    return join(this.#folder, createHash("sha256").update(key).digest("hex"));
  }

  async #removeEmptyFolders(): Promise<void> {
    for (let path = this.#folder; path.startsWith(this.#tenantFolder); path = dirname(path))
      await rmdir(path).catch(() => undefined);
  }
}

function absent(error: unknown): undefined {
  const code = errorCode(error);
  if (code === "ENOENT" || code === "ENOTDIR") return undefined;
  throw error;
}
