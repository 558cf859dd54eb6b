/**
 * A package store that replaces another, such as a bucket that replaces the folder: archives that only the former store has
 * are still found, and are copied over. Unless it is to be emptied, the former store is only read, so that a return to it
 * loses nothing.
 */
import { copyFile } from "node:fs/promises";
import { isFault, toFault } from "../domain/fault.ts";
import type { Log } from "../observe/log.ts";
import { Outage } from "../observe/outage.ts";
import type { Clock } from "../util/clock.ts";
import type { OpenedPackage, PackageStore, StoredArchive } from "./package-store.ts";

export interface FormerPackages {
  readonly store: PackageStore;
  list(): Promise<readonly string[]>;
}

export interface TakeOverOptions {
  readonly packages: PackageStore;
  readonly former: FormerPackages;
}

/** A store that opens an archive from the former store where `packages` does not have it or cannot be reached. */
export function withFormer({ packages, former }: TakeOverOptions): PackageStore {
  return {
    stage: () => packages.stage(),
    keep: (staged, identifier) => packages.keep(staged, identifier),
    has: async (identifier) => (await packages.has(identifier)) || (await former.store.has(identifier)),
    open: async (identifier, signal): Promise<OpenedPackage> => {
      try {
        return await packages.open(identifier, signal);
      } catch (error) {
        const isElsewhere =
          isFault(error, "package_not_found") || isFault(error, "package_store_unavailable");
        if (!isElsewhere || !(await former.store.has(identifier))) throw error;
        return await former.store.open(identifier, signal);
      }
    },
    // From the former store first: otherwise the archive would be copied again.
    remove: async (identifier) => {
      await former.store.remove(identifier);
      await packages.remove(identifier);
    },
    list: (signal) => listBoth({ packages, former }, signal),
    ping: (signal) => packages.ping(signal),
  };
}

async function* listBoth(
  { packages, former }: TakeOverOptions,
  signal: AbortSignal,
): AsyncGenerator<StoredArchive> {
  const seen = new Set<string>();
  for await (const archive of packages.list(signal)) {
    seen.add(archive.identifier);
    yield archive;
  }
  for await (const archive of former.store.list(signal)) if (!seen.has(archive.identifier)) yield archive;
}

export interface CopyOptions extends TakeOverOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Pause after a failure. */
  readonly retryMs: number;
  /** True removes from the former store what has been copied. */
  readonly empties?: boolean;
}

/**
 * Copies the archives that only the former store has, one after the other, until all are copied or the signal aborts.
 * Logs the start and the end; an archive that cannot be read is logged and skipped. Resolves with whether the new store
 * has all of them.
 */
export async function copyFormer(options: CopyOptions, signal: AbortSignal): Promise<boolean> {
  const { former, clock, log } = options;
  const startedAt = clock.now();
  const outage = new Outage(log, "packages.copy");
  const counts = { copied: 0, there: 0, failed: 0 };
  const identifiers = await former.list();
  if (identifiers.length === 0) return true;
  log.info(
    { op: "packages.copy", packages: identifiers.length },
    "copying packages from the former place; they are available meanwhile",
  );
  for (const identifier of identifiers) {
    const outcome = await copyInTime(options, { identifier, outage }, signal);
    if (outcome === undefined) return false;
    counts[outcome] += 1;
  }
  const fields = { op: "packages.copy", duration_ms: Math.round(clock.now() - startedAt), ...counts };
  if (counts.failed === 0) log.info({ ...fields, ok: true }, "copied all packages of the former place");
  else log.error({ ...fields, ok: false }, "some packages of the former place could not be copied");
  return counts.failed === 0;
}

type Outcome = "copied" | "there" | "failed";

/** Retries causes that may pass; undefined once the signal aborts. */
async function copyInTime(
  options: CopyOptions,
  { identifier, outage }: { readonly identifier: string; readonly outage: Outage },
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  const outcomes: Outcome[] = [];
  while (!signal.aborted) {
    await outage.run(async () => {
      outcomes.push(await copyOne(options, identifier));
    });
    if (outcomes[0] !== undefined) return outcomes[0];
    await options.clock.sleep(options.retryMs, signal).catch(() => undefined);
  }
  return undefined;
}

/** Throws causes that may pass; others are logged. */
async function copyOne(options: CopyOptions, identifier: string): Promise<Outcome> {
  const { packages, former, log, empties = false } = options;
  try {
    const isThere = await packages.has(identifier);
    if (!isThere) await copy(options, identifier);
    if (empties) await former.store.remove(identifier);
    return isThere ? "there" : "copied";
  } catch (error) {
    const fault = toFault(error);
    if (fault.rule.retry) throw fault;
    log.error({ op: "packages.copy", ok: false, identifier, code: fault.code, err: fault });
    return "failed";
  }
}

async function copy({ packages, former }: CopyOptions, identifier: string): Promise<void> {
  await using archive = await former.store.open(identifier);
  await using staged = await packages.stage();
  await copyFile(archive.path, staged.path);
  await packages.keep(staged, identifier);
}
