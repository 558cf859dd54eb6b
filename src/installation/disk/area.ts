import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { DiskKind } from "../../domain/disk.ts";

/** One kind of what Berth keeps on disk: it knows what there is and who needs it, and takes one thing at a time. */
export interface Area {
  readonly kind: DiskKind;
  /** `null`: only what is of no use to anybody goes. */
  readonly budgetBytes: number | null;
  /** A collection that somebody asked for takes all that nothing needs; otherwise only what is over the budget. */
  readonly isEmptiedWhenAsked: boolean;
  survey(signal: AbortSignal): Promise<readonly Found[]>;
  /** Before a collection: whoever goes by last use learns what is in use now. */
  noteNeeded?(found: readonly Found[]): Promise<void>;
  /** Does the work while nobody else uses the area; answers why that cannot be now, and then has done nothing. */
  hold?(work: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<string | undefined>;
  /**
   * Takes it away, unless somebody has come to need it since the survey. Answers why it stays; undefined: it is gone.
   * Where it fails half-way, the next survey finds the rest.
   */
  take(found: Found, signal: AbortSignal): Promise<string | undefined>;
}

export interface Found {
  /** Names it within its area. */
  readonly key: string;
  readonly what: string;
  readonly bytes: number;
  readonly usedAt: Date;
  /** Who needs it; empty: nobody. */
  readonly heldBy: readonly string[];
  /** Why it is of no use to anybody, whatever the budget. */
  readonly garbage?: string | undefined;
  /** Keys of what stands on it, and has to go first. */
  readonly above?: readonly string[];
}

export interface AreaSettings {
  /** Younger leftovers are left alone: they may belong to work that is going on. */
  readonly graceMs: number;
}

/** Bytes on disk of a file, or of a folder with all that is in it; what goes meanwhile counts as nothing. */
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
