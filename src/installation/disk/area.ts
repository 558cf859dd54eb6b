import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { DiskKind } from "../../domain/disk.ts";

/** One kind of data that Berth keeps on disk: lists what there is and who needs it, and removes one thing at a time. */
export interface Area {
  readonly kind: DiskKind;
  /** `null`: only garbage is removed. */
  readonly budgetBytes: number | null;
  /** True: a requested collection removes everything unneeded. False: only what is over the budget. */
  readonly isEmptiedWhenAsked: boolean;
  survey(signal: AbortSignal): Promise<readonly Found[]>;
  /** Called before a collection with everything found: an area that evicts by last use marks what is in use now. */
  noteNeeded?(found: readonly Found[]): Promise<void>;
  /** Does the work while nobody else uses the area. Where that is not possible now, does nothing and answers why. */
  hold?(work: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<string | undefined>;
  /**
   * Removes it, unless it has come into use since the survey. Answers why it stays; undefined once it is gone. Where a
   * removal fails half-way, the next survey finds the rest.
   */
  take(found: Found, signal: AbortSignal): Promise<string | undefined>;
}

export interface Found {
  /** Names it within its area. */
  readonly key: string;
  readonly what: string;
  readonly bytes: number;
  readonly usedAt: Date;
  /** Who needs it, for people; empty: nobody. */
  readonly heldBy: readonly string[];
  /** Why it is garbage, which goes whatever the budget. */
  readonly garbage?: string | undefined;
  /** Keys of the things that build on it and have to go first. */
  readonly above?: readonly string[];
}

export interface AreaSettings {
  /** Younger leftovers stay: they may belong to running work. */
  readonly graceMs: number;
}

/** Bytes on disk of a file, or of a folder with its contents. What disappears meanwhile counts as nothing. */
export async function diskUsage(path: string, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return 0;
  const own = found.blocks * 512;
  if (!found.isDirectory()) return own;
  const names = await readdir(path).catch(() => []);
  let bytes = own;
  for (const name of names) bytes += await diskUsage(join(path, name), signal);
  return bytes;
}
