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
   * Keeps all archives, then writes their rows: a row never names an archive that is not there. Where either fails,
   * archives that came with this call and have no row are taken back; what was there before stays, unless the disk has
   * spoilt it: then the new bytes take its place.
   */
  keep<T>(archives: readonly StagedArchive[], write: () => Promise<T>): Promise<T>;
}

/**
 * Taking an archive back must not take that of another upload: one at a time works with an archive, in this process by
 * its turn, among processes by the archive's lease.
 */
export function createPackageKeeper(deps: PackageKeeperDeps): PackageKeeper {
  const keeping = new KeyedLock<string>();
  return {
    keep: (archives, write) => {
      const identifiers = [...new Set(archives.map(({ identifier }) => identifier))].sort();
      // In one order for all, so that no two calls wait for each other.
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

/** What has been taken in whole is kept, whether or not the caller still listens. */
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
      // An archive without a row is what an earlier daemon has left: it is not this call's to take back either.
      const isThere = isKnown || (await packages.has(identifier));
      if (isThere) await removeDamaged(deps, identifier);
      else added.push(identifier);
      await packages.keep(staged, identifier);
    }
    return await write();
  } catch (failure) {
    for (const identifier of added) await takeBack(deps, identifier);
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
    // Says nothing about the archive: another try may tell.
    if (!isFault(failure) || failure.rule.retry) throw failure;
  }
  log.warn({ op: "package_store.mend", identifier }, "a damaged archive is replaced");
  await packages.remove(identifier);
}

/** Where the Store cannot say whether the row is there the archive stays: without a row nobody sees it. */
async function takeBack({ packages, store }: PackageKeeperDeps, identifier: string): Promise<void> {
  try {
    if ((await store.packages.find(identifier)) === undefined) await packages.remove(identifier);
  } catch {
    // The failure that led here is the one to report.
  }
}

/** Streams to disk, counting and hashing on the way. Throws `payload_too_large`, which names the `what`. */
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
