import { randomUUID } from "node:crypto";
import { access, constants, link, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { Fault } from "../../domain/fault.ts";
import { IDENTIFIER_PATTERN, parsePackageRef } from "../../domain/package-ref.ts";
import { errorCode } from "../../util/error-code.ts";
import type { OpenedPackage, PackageStore, StagedFile, StoredArchive } from "../package-store.ts";

export interface DiskPackagesOptions {
  /** Created when it is missing. */
  readonly folder: string;
  /** Age at which the start removes a staged file: a process that died has left it. */
  readonly stagedAgeMaxMs: number;
}

/** A folder of archives: `AUTHOR/NAME:VERSION@CHECKSUM`. Once `keep` resolves, an archive survives a power cut. */
export async function openDiskPackages(options: DiskPackagesOptions): Promise<PackageStore> {
  const staging = join(options.folder, ".staging");
  await mkdir(staging, { recursive: true });
  await removeStale(staging, options.stagedAgeMaxMs);
  return new DiskPackages(options.folder, staging);
}

/** The identifiers of all archives in such a folder. */
export async function listDiskPackages(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(relative(folder, parentPath), name))
    .filter((identifier) => IDENTIFIER_PATTERN.test(identifier))
    .toSorted();
}

class DiskPackages implements PackageStore {
  readonly #folder: string;
  readonly #staging: string;

  constructor(folder: string, staging: string) {
    this.#folder = folder;
    this.#staging = staging;
  }

  async stage(): Promise<StagedFile> {
    const path = join(this.#staging, randomUUID());
    return { path, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
  }

  async keep(staged: StagedFile, identifier: string): Promise<void> {
    const path = this.#pathOf(identifier);
    await sync(staged.path);
    await mkdir(dirname(path), { recursive: true });
    try {
      // A link, because a rename would replace bytes that are already stored.
      await link(staged.path, path);
    } catch (failure) {
      if (errorCode(failure) !== "EEXIST") throw failure;
    }
    await sync(dirname(path));
    await sync(this.#folder);
    await rm(staged.path, { force: true });
  }

  async has(identifier: string): Promise<boolean> {
    try {
      await stat(this.#pathOf(identifier));
      return true;
    } catch (failure) {
      if (errorCode(failure) !== "ENOENT") throw failure;
      return false;
    }
  }

  async open(identifier: string): Promise<OpenedPackage> {
    const path = this.#pathOf(identifier);
    try {
      const { size } = await stat(path);
      // An open file stays readable after its removal: there is nothing to release.
      return { path, bytes: size, [Symbol.asyncDispose]: async () => undefined };
    } catch (failure) {
      if (errorCode(failure) !== "ENOENT") throw failure;
      throw new Fault(
        "package_not_found",
        `The archive of ${identifier} is not stored; upload the package first.`,
        {
          details: { field: "identifier", value: identifier },
          cause: failure,
        },
      );
    }
  }

  async remove(identifier: string): Promise<void> {
    await rm(this.#pathOf(identifier), { force: true });
  }

  async *list(signal: AbortSignal): AsyncGenerator<StoredArchive> {
    for (const identifier of await listDiskPackages(this.#folder)) {
      signal.throwIfAborted();
      const found = await stat(this.#pathOf(identifier)).catch(() => undefined);
      if (found !== undefined) yield { identifier, bytes: found.size, keptAt: found.mtime };
    }
  }

  async ping(): Promise<void> {
    try {
      await access(this.#folder, constants.R_OK | constants.W_OK);
    } catch (cause) {
      throw new Fault("package_store_unavailable", "The folder of packages is not readable and writable.", {
        context: { folder: this.#folder },
        cause,
      });
    }
  }

  /** Parses the identifier first: its characters cannot lead out of the folder. */
  #pathOf(identifier: string): string {
    const { author, name, version, checksum } = parsePackageRef(identifier);
    return join(this.#folder, author, `${name}:${version}@${checksum}`);
  }
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}

async function removeStale(staging: string, ageMaxMs: number): Promise<void> {
  const oldest = Date.now() - ageMaxMs;
  for (const name of await readdir(staging)) {
    const path = join(staging, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && found.mtimeMs < oldest) await rm(path, { force: true });
  }
}
