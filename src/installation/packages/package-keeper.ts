import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { Fault, isFault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import type { PackageReader } from "../../packages/package-reader.ts";
import type { PackageStore, StagedFile } from "../../packages/package-store.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { KeyedLock } from "../../util/keyed-lock.ts";
import { ARCHIVE_LEASE, withArchive } from "./archive-lease.ts";

export interface PackageKeeperDeps {
  readonly packages: PackageStore;
  readonly store: Pick<Store, "packages" | "leases">;
  readonly reader: Pick<PackageReader, "read">;
  readonly clock: Clock;
  readonly log: Log;
}

export interface StagedArchive {
  readonly staged: StagedFile;
  readonly identifier: string;
}

export interface PackageKeeper {
  /**
   * Stores all archives, then calls `write` for their rows: a row never names an archive that does not exist. Where either
   * fails, archives that this call added and that have no row are removed. An archive that existed before stays, unless
   * it is damaged: then the new bytes replace it.
   */
  keep<T>(archives: readonly StagedArchive[], write: () => Promise<T>): Promise<T>;
}

/**
 * Removing an archive after a failure must not remove that of another upload: so one upload at a time works with an
 * archive, by a lock within this process and by the archive's lease among processes.
 */
export function createPackageKeeper(deps: PackageKeeperDeps): PackageKeeper {
  const keeping = new KeyedLock<string>();
  return {
    keep: (archives, write) => {
      const identifiers = [...new Set(archives.map(({ identifier }) => identifier))].sort();
      // In the same order for all, so that no two calls wait for each other.
      const work = identifiers.reduceRight<() => ReturnType<typeof write>>(
        (inner, identifier) => () =>
          keeping.run(identifier, () =>
            withArchive({ ...deps, ...ARCHIVE_LEASE }, identifier, inner, UNTIL_DONE),
          ),
        () => keepAll(deps, archives, write),
      );
      return work();
    },
  };
}

/** A complete upload is stored even if its caller has disconnected. */
const UNTIL_DONE = new AbortController().signal;

async function keepAll<T>(
  deps: PackageKeeperDeps,
  archives: readonly StagedArchive[],
  write: () => Promise<T>,
): Promise<T> {
  const { packages, store } = deps;
  const added: string[] = [];
  try {
    for (const { staged, identifier } of archives) {
      const isKnown = (await store.packages.find(identifier)) !== undefined;
      // An archive without a row is one of an earlier daemon: this call must not remove it either.
      const isThere = isKnown || (await packages.has(identifier));
      if (isThere) await removeDamaged(deps, identifier);
      else added.push(identifier);
      await packages.keep(staged, identifier);
    }
    return await write();
  } catch (failure) {
    for (const identifier of added) await removeAdded(deps, identifier);
    throw failure;
  }
}

async function removeDamaged(
  { packages, reader, log }: PackageKeeperDeps,
  identifier: string,
): Promise<void> {
  try {
    await using kept = await packages.open(identifier);
    const read = await reader.read(kept.path, new Date(0), UNTIL_DONE);
    if (read.identifier === identifier) return;
  } catch (failure) {
    if (isFault(failure, "package_not_found")) return;
    // A cause that may pass says nothing about the archive.
    if (!isFault(failure) || failure.rule.retry) throw failure;
  }
  log.warn({ op: "package_store.mend", identifier }, "replacing a damaged archive");
  await packages.remove(identifier);
}

/** Where the store does not answer, the archive stays: without a row nobody sees it. */
async function removeAdded({ packages, store }: PackageKeeperDeps, identifier: string): Promise<void> {
  try {
    if ((await store.packages.find(identifier)) === undefined) await packages.remove(identifier);
  } catch {
    // The failure that led here is the one to report.
  }
}

/** Streams the body to the file, and counts and hashes it. Throws `payload_too_large`, whose message names `what`. */
export async function writeStaged(
  staged: StagedFile,
  body: AsyncIterable<Uint8Array>,
  {
    what,
    bytesMax,
    signal,
  }: { readonly what: string; readonly bytesMax: number; readonly signal: AbortSignal },
): Promise<{ readonly bytes: number; readonly archive_sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  await using file = await open(staged.path, "wx", 0o600);
  for await (const chunk of body) {
    signal.throwIfAborted();
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(what, bytes, bytesMax);
    hash.update(chunk);
    await file.writeFile(chunk);
  }
  signal.throwIfAborted();
  return { bytes, archive_sha256: hash.digest("hex") };
}

function tooLarge(what: string, bytes: number, bytesMax: number): Fault {
  return new Fault("payload_too_large", `The ${what} has more than ${bytesMax} bytes.`, {
    details: { field: "body", value: `${bytes} bytes or more`, accepted: `at most ${bytesMax} bytes` },
  });
}
