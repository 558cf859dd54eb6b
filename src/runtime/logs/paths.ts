import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeId } from "../../domain/ids.ts";
import type { Store } from "../../store/store.ts";

/** The folder with the logs of a pool: `<data>/logs/<pool>/<runtime>.log`, older parts with `.1`, `.2`, ... behind. */
export function logFolder(dataFolder: string, poolKey: string): string {
  return join(dataFolder, "logs", poolKey);
}

export function logFile(folder: string, runtimeId: RuntimeId, age = 0): string {
  return join(folder, age === 0 ? `${runtimeId}.log` : `${runtimeId}.log.${age}`);
}

export interface LogFile {
  readonly runtimeId: RuntimeId;
  /** 0: the current file. */
  readonly age: number;
  readonly path: string;
}

/** All log files of a folder, the oldest part of each runtime first; empty when there is no folder. */
export async function listLogFiles(folder: string): Promise<readonly LogFile[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .flatMap((name) => {
      const match = /^([a-z0-9]{10})\.log(?:\.(\d+))?$/.exec(name);
      const id = RuntimeId.safeParse(match?.[1]);
      if (match === null || !id.success) return [];
      return [{ runtimeId: id.data, age: Number(match[2] ?? 0), path: join(folder, name) }];
    })
    .sort((a, b) => b.age - a.age);
}

/** Removes the files of all runtimes in the folder but the current one and the `kept - 1` written last. */
export async function dropOldRuntimes(folder: string, current: RuntimeId, kept: number): Promise<void> {
  const files = await listLogFiles(folder);
  const newest = new Map<RuntimeId, number>();
  for (const { runtimeId, path } of files) {
    const written = (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
    newest.set(runtimeId, Math.max(written, newest.get(runtimeId) ?? 0));
  }
  newest.delete(current);
  const old = [...newest.entries()].sort((a, b) => b[1] - a[1]).slice(kept - 1);
  const gone = new Set(old.map(([id]) => id));
  await Promise.all(
    files.filter((file) => gone.has(file.runtimeId)).map(({ path }) => rm(path, { force: true })),
  );
}

export async function inodeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.ino;
}

/**
 * Removes the logs of pools without a row: the process that removed such a pool was killed before it removed the logs.
 * A pool's row exists before its first log, so the folders are listed before the rows.
 */
export async function removeOrphanLogs({
  dataFolder,
  store,
}: {
  readonly dataFolder: string;
  readonly store: Pick<Store, "pools">;
}): Promise<void> {
  const folders = await readdir(join(dataFolder, "logs")).catch(() => []);
  const known = new Set((await store.pools.list()).map(({ key }) => key));
  for (const key of folders.filter((name) => /^[0-9a-f]{16}$/.test(name) && !known.has(name)))
    await rm(logFolder(dataFolder, key), { recursive: true, force: true });
}
