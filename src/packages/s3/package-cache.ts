/**
 * A local cache of archives that were fetched or stored, in a folder that several processes may share. A file's name has
 * its identifier and contents, `SHA256(IDENTIFIER)-BYTES-SHA256`, and is hashed again each time it is opened: one that a
 * crash or the disk has damaged is fetched again. Each reader gets a hard link of its own, so that a removal never affects
 * it, and a file with a second link is in use by some process.
 */
import { createHash, randomUUID } from "node:crypto";
import { link, mkdir, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../../observe/log.ts";
import { digestOf, type FileDigest } from "../../storage/s3/file-digest.ts";
import type { CacheSettings } from "../../storage/s3/settings.ts";
import { errorCode } from "../../util/error-code.ts";
import type { OpenedPackage } from "../package-store.ts";

export interface PackageCacheOptions {
  /** Created when it is missing. */
  readonly folder: string;
  readonly settings: CacheSettings;
  readonly log: Log;
}

export async function openPackageCache(options: PackageCacheOptions): Promise<PackageCache> {
  const { folder, settings } = options;
  const folders = {
    kept: join(folder, "kept"),
    opened: join(folder, "opened"),
    partial: join(folder, "partial"),
  };
  await make(folders);
  await removeOld(folders.partial, settings.stagedAgeMaxMs);
  await removeOld(folders.opened, settings.openedAgeMaxMs);
  const cache = new PackageCache(folders, options);
  await cache.shrink();
  return cache;
}

interface Folders {
  readonly kept: string;
  readonly opened: string;
  /** Running uploads and downloads; on the same file system, so that one is kept by a rename. */
  readonly partial: string;
}

export class PackageCache {
  readonly #folders: Folders;
  readonly #bytesMax: number;
  readonly #log: Log;
  /** Files in use keep the folder over its budget: closing one shrinks it again. */
  #isOver = false;

  constructor(folders: Folders, { settings, log }: PackageCacheOptions) {
    this.#folders = folders;
    this.#bytesMax = settings.cacheBytesMax;
    this.#log = log;
  }

  /** A path for a new file; the caller removes it unless `add` takes it. */
  async newPath(): Promise<string> {
    await make(this.#folders);
    return join(this.#folders.partial, ageNamed());
  }

  /** Opens a file; undefined where there is none, or it is damaged. */
  async find(identifier: string): Promise<OpenedPackage | undefined> {
    await make(this.#folders);
    for (const name of await this.#namesOf(identifier)) {
      const opened = await this.#open(join(this.#folders.kept, name));
      if (opened === undefined) continue;
      const found = await digestOf(opened.path);
      if (nameOf(identifier, found) === name) return { ...opened, bytes: found.bytes };
      this.#log.warn({ op: "package_cache.open", ok: false, code: "package_damaged", identifier });
      await rm(join(this.#folders.kept, name), { force: true });
      await opened[Symbol.asyncDispose]();
    }
    return undefined;
  }

  /** Moves the file into the cache, in place of others of the identifier, and opens it. */
  async add(identifier: string, path: string, digest: FileDigest): Promise<OpenedPackage> {
    const name = nameOf(identifier, digest);
    // Opened before it can be seen, so that no other process finds it unused.
    const opened = await this.#open(path);
    if (opened === undefined) throw new Error(`the file ${path} no longer exists`);
    for (const old of await this.#namesOf(identifier)) {
      if (old !== name) await rm(join(this.#folders.kept, old), { force: true });
    }
    await rename(path, join(this.#folders.kept, name));
    await this.shrink();
    return { ...opened, bytes: digest.bytes };
  }

  async remove(identifier: string): Promise<void> {
    await make(this.#folders);
    for (const name of await this.#namesOf(identifier)) {
      await rm(join(this.#folders.kept, name), { force: true });
    }
  }

  /** Evicts files that are not in use, the least recently used first, until the rest fits. */
  async shrink(): Promise<void> {
    const files = [];
    for (const name of await readdir(this.#folders.kept)) {
      const path = join(this.#folders.kept, name);
      const found = await stat(path).catch(() => undefined);
      if (found !== undefined)
        files.push({ path, bytes: found.size, usedAt: found.mtimeMs, links: found.nlink });
    }
    let total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { path, bytes } of files
      .filter(({ links }) => links === 1)
      .sort((a, b) => a.usedAt - b.usedAt)) {
      if (total <= this.#bytesMax) break;
      await rm(path, { force: true });
      total -= bytes;
    }
    this.#isOver = total > this.#bytesMax;
  }

  async #namesOf(identifier: string): Promise<readonly string[]> {
    const start = `${hashOf(identifier)}-`;
    return (await readdir(this.#folders.kept)).filter((name) => name.startsWith(start));
  }

  async #open(kept: string): Promise<Omit<OpenedPackage, "bytes"> | undefined> {
    const path = join(this.#folders.opened, ageNamed());
    try {
      await link(kept, path);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
    const now = new Date();
    await utimes(path, now, now);
    return {
      path,
      [Symbol.asyncDispose]: async () => {
        await rm(path, { force: true });
        if (this.#isOver) await this.shrink();
      },
    };
  }
}

/** Called at each use: an operator may clear the folder while Berth runs. */
async function make(folders: Folders): Promise<void> {
  for (const path of Object.values(folders)) await mkdir(path, { recursive: true, mode: 0o700 });
}

function nameOf(identifier: string, { bytes, sha256 }: FileDigest): string {
  return `${hashOf(identifier)}-${bytes}-${sha256}`;
}

function hashOf(identifier: string): string {
  return createHash("sha256").update(identifier).digest("hex");
}

/** A link has the times of its file, so its name contains its own. */
function ageNamed(): string {
  return `${Date.now()}-${randomUUID()}`;
}

async function removeOld(folder: string, ageMaxMs: number): Promise<void> {
  const oldest = Date.now() - ageMaxMs;
  for (const name of await readdir(folder)) {
    const [time = ""] = name.split("-");
    if (/^\d+$/.test(time) && Number(time) < oldest) await rm(join(folder, name), { force: true });
  }
}
