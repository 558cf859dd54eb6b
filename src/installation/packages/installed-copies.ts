/**
 * The files that dify-plugin-daemon needs beside the database if it takes over again: a copy of each package that some
 * tenant has installed, because it starts what it finds there, and their icons. They are compared with the rows after
 * each task, each period and at the end, so that the leftovers of a dead process do not last.
 */
import { isFault } from "../../domain/fault.ts";
import { IDENTIFIER_PATTERN } from "../../domain/package-ref.ts";
import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import { openArchive } from "../../packages/archive/archive.ts";
import type { PackageStore } from "../../packages/package-store.ts";
import { findAsset } from "../../packages/package-texts.ts";
import type { ReadPackageOptions } from "../../packages/read-package.ts";
import type { FileStore } from "../../storage/file-store.ts";
import type { StorageFolders } from "../../storage/storage-layout.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";
import type { Store } from "../../store/store.ts";
import { Bell } from "../../util/bell.ts";
import type { Clock } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";

const ASSET_ID = /^[0-9a-f]{64}(\.[^/]*)?$/;
const LAST_LOOK_MS = 5_000;
const ICON_BYTES_MAX = 10_485_760;

export interface InstalledCopiesDeps {
  readonly store: {
    readonly packages: { find(identifier: string): Promise<Pick<StoredPackage, "declaration"> | undefined> };
    readonly disk: { readonly packages: Pick<Store["disk"]["packages"], "installed"> };
  };
  readonly packages: Pick<PackageStore, "open" | "has">;
  readonly files: FileStore;
  readonly folders: Pick<StorageFolders, "installed" | "assets">;
  readonly archives: ReadPackageOptions;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs: number;
}

export interface InstalledCopies extends AsyncDisposable {
  /** Compares soon: something may have been installed or uninstalled. */
  look(): void;
}

/** Disposing it waits for one last comparison. */
export function startInstalledCopies(deps: InstalledCopiesDeps): InstalledCopies {
  const scope = new Scope();
  const bell = new Bell();
  const outage = new Outage(deps.log, "installed_copies.compare");
  const passes = new InstalledCopyPasses(deps);
  const running = (async () => {
    while (!scope.signal.aborted) {
      await outage.run(() => passes.run(scope.signal));
      await bell.wait(deps.clock, deps.everyMs, scope.signal).catch(() => undefined);
    }
    await outage.run(() => passes.run(AbortSignal.timeout(LAST_LOOK_MS)));
  })();
  scope.add(() => running);
  return { look: () => bell.ring(), [Symbol.asyncDispose]: () => scope.close() };
}

export class InstalledCopyPasses {
  readonly #deps: InstalledCopiesDeps;
  /** Identifiers without an archive, and so without a copy; each is logged once. */
  readonly #missing = new Set<string>();

  constructor(deps: InstalledCopiesDeps) {
    this.#deps = deps;
  }

  /**
   * Compares until nothing changes: another worker may have read older or newer rows than this one, and have done the
   * opposite.
   */
  async run(signal: AbortSignal): Promise<void> {
    while (await this.#pass(signal)) signal.throwIfAborted();
  }

  async #pass(signal: AbortSignal): Promise<boolean> {
    const { store, files, folders } = this.#deps;
    const there = new Set<string>();
    for await (const { path } of files.list(folders.installed, signal))
      if (IDENTIFIER_PATTERN.test(path)) there.add(path);
    const wanted = new Set(await store.disk.packages.installed());
    const changes: boolean[] = [];
    for (const identifier of wanted)
      if (!there.has(identifier)) changes.push(await this.#add(identifier, signal));
    for (const identifier of there) if (!wanted.has(identifier)) changes.push(await this.#remove(identifier));
    return changes.includes(true);
  }

  /** The copy last: where it exists, the icons do too. */
  async #add(identifier: string, signal: AbortSignal): Promise<boolean> {
    const { packages, files, folders, log } = this.#deps;
    signal.throwIfAborted();
    try {
      await using archive = await packages.open(identifier, signal);
      await this.#keepIcons(identifier, archive.path);
      await files.writeFrom(`${folders.installed}/${identifier}`, archive.path);
      this.#missing.delete(identifier);
      return true;
    } catch (error) {
      if (!isFault(error) || error.rule.retry) throw error;
      if (!this.#missing.has(identifier))
        log.warn({ op: "installed_copies.compare", ok: false, identifier, code: error.code, err: error });
      this.#missing.add(identifier);
      return false;
    }
  }

  /** Removes only a copy whose archive is stored: otherwise it may be the last one. */
  async #remove(identifier: string): Promise<boolean> {
    const { packages, files, folders } = this.#deps;
    if (!(await packages.has(identifier))) return false;
    return await files.remove(`${folders.installed}/${identifier}`);
  }

  async #keepIcons(identifier: string, archivePath: string): Promise<void> {
    const { store, files, folders, archives } = this.#deps;
    const ids = assetIds((await store.packages.find(identifier))?.declaration);
    const missing: string[] = [];
    for (const id of ids) if ((await files.size(`${folders.assets}/${id}`)) === undefined) missing.push(id);
    if (missing.length === 0) return;
    await using archive = await openArchive(archivePath, archives);
    for (const id of missing) {
      const path = await findAsset(archive, id);
      if (path === undefined) continue;
      await files.write(`${folders.assets}/${id}`, await archive.read(path, ICON_BYTES_MAX));
    }
  }
}

/** Ids of assets anywhere in a declaration. */
function assetIds(value: unknown): ReadonlySet<string> {
  if (typeof value === "string") return new Set(ASSET_ID.test(value) ? [value] : []);
  if (typeof value !== "object" || value === null) return new Set();
  return new Set(Object.values(value).flatMap((one) => [...assetIds(one)]));
}
