import { randomUUID } from "node:crypto";
import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { errorCode } from "../../util/error-code.ts";
import type { FileStore, StoredFile } from "../file-store.ts";

/** Below the root, so that a finished file can be renamed into place. */
const STAGING = ".staging";
/** Errors for a path without a file: nothing exists, a folder exists, or a file stands in a folder's place. */
const ABSENT = new Set(["ENOENT", "ENOTDIR", "EISDIR"]);

/** Files in a folder, which is created with the first file. */
export function createDiskFiles({ root }: { readonly root: string }): FileStore {
  return new DiskFiles(root);
}

class DiskFiles implements FileStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async read(path: string): Promise<Buffer | undefined> {
    return await readFile(join(this.#root, path)).catch(absent);
  }

  async size(path: string): Promise<number | undefined> {
    const found = await stat(join(this.#root, path)).catch(absent);
    return found?.isFile() ? found.size : undefined;
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    await this.#put(path, async (draft) => {
      await using file = await open(draft, "wx", 0o644);
      await file.writeFile(bytes);
      await file.sync();
    });
  }

  async writeFrom(path: string, localFile: string): Promise<void> {
    await this.#put(path, async (draft) => {
      try {
        await link(localFile, draft);
      } catch (error) {
        if (errorCode(error) !== "EXDEV" && errorCode(error) !== "EPERM") throw error;
        await copyFile(localFile, draft);
        await sync(draft);
      }
    });
  }

  async remove(path: string): Promise<boolean> {
    if ((await this.size(path)) === undefined) return false;
    await rm(join(this.#root, path), { force: true });
    return true;
  }

  async *list(folder: string, signal: AbortSignal): AsyncGenerator<StoredFile> {
    const top = join(this.#root, folder);
    const entries = await readdir(top, { withFileTypes: true, recursive: true }).catch(absent);
    for (const { parentPath, name } of (entries ?? []).filter((entry) => entry.isFile())) {
      signal.throwIfAborted();
      const path = join(parentPath, name);
      const found = await stat(path).catch(absent);
      if (found !== undefined) yield { path: relative(top, path), bytes: found.size };
    }
  }

  async removeFolder(folder: string): Promise<void> {
    await rm(join(this.#root, folder), { recursive: true, force: true });
  }

  async #put(path: string, fill: (draft: string) => Promise<void>): Promise<void> {
    const target = join(this.#root, path);
    const draft = join(this.#root, STAGING, randomUUID());
    await mkdir(dirname(draft), { recursive: true });
    await mkdir(dirname(target), { recursive: true });
    try {
      await fill(draft);
      await rename(draft, target).catch((error: unknown) => this.#renameOverFolder({ draft, target }, error));
      await sync(dirname(target));
    } finally {
      // Also after a rename: a rename between two links of one file does nothing and leaves both.
      await rm(draft, { force: true });
    }
  }

  /** Removed files leave their folders; such an empty folder gives way to a file of its name. */
  async #renameOverFolder({ draft, target }: Draft, error: unknown): Promise<void> {
    const below = await readdir(target, { withFileTypes: true, recursive: true }).catch(() => undefined);
    if (below === undefined || below.some((entry) => !entry.isDirectory())) throw error;
    await rm(target, { recursive: true, force: true });
    await rename(draft, target);
  }
}

interface Draft {
  readonly draft: string;
  readonly target: string;
}

function absent(error: unknown): undefined {
  if (ABSENT.has(String(errorCode(error)))) return undefined;
  throw error;
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}
