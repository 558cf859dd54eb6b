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
