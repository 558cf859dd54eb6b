import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Store } from "../../store/store.ts";
import { logFolder } from "./paths.ts";

/**
 * Removes the logs of Pools without a row: the process that removed such a Pool was killed before it removed the logs.
 * A Pool's row exists before its first log, so the folders are listed before the rows.
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
