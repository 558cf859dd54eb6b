/**
 * A lock among processes that share a folder, also from containers, which do not see each other's pids: a lock counts
 * as abandoned by its age alone, and a living holder keeps it young.
 */
import { randomUUID } from "node:crypto";
import { link, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { errorCode } from "./error-code.ts";
import { holdLock } from "./serving.ts";

export interface FileLockSettings {
  /** A lock of this age was left by a process that died, and is taken over. */
  readonly staleMs: number;
  /** How often a taken lock is checked. */
  readonly lookMs: number;
}

/** Runs the work while the caller holds the file lock; its folder must exist. Waits without a limit. */
export async function withFileLock<T>(
  path: string,
  settings: FileLockSettings,
  work: () => Promise<T>,
): Promise<T> {
  const mark = randomUUID();
  while (!(await take(path, mark))) {
    if (!(await clearStale(path, settings.staleMs))) await sleep(settings.lookMs);
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, settings.staleMs / 4);
  try {
    return await holdLock(work);
  } finally {
    clearInterval(beat);
    // A holder that was suspended for too long has lost the lock, and must not remove that of its successor.
    if ((await readFile(path, "utf8").catch(() => "")) === mark) await rm(path, { force: true });
  }
}

async function take(path: string, mark: string): Promise<boolean> {
  try {
    await using file = await open(path, "wx", 0o600);
    await file.writeFile(mark);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

async function clearStale(path: string, staleMs: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return true;
  if (Date.now() - found.mtimeMs < staleMs) return false;
  // Moved before it is removed: of several processes that saw it, a slow one may move its successor, and puts that
  // back.
  const aside = `${path}.${randomUUID()}`;
  await rename(path, aside).catch(() => undefined);
  const moved = await stat(aside).catch(() => undefined);
  if (moved !== undefined && Date.now() - moved.mtimeMs < staleMs) {
    await link(aside, path).catch(() => undefined);
  }
  await rm(aside, { force: true });
  return true;
}
