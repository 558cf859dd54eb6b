/** The disk area of plugins' logs, in files per runtime, and of the history of runtimes whose pool is gone. */
import { readdir, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type LogFile, listLogFiles, logFolder } from "../../runtime/logs/paths.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import type { Area, AreaSettings, Found } from "./area.ts";

export interface RuntimeLogAreaDeps {
  readonly store: Pick<Store, "disk" | "pools" | "runtimes">;
  readonly clock: Clock;
  readonly dataFolder: string;
  readonly settings: AreaSettings & { readonly budgetBytes: number };
}

const ROWS = "history ";

export function createRuntimeLogArea(deps: RuntimeLogAreaDeps): Area {
  return {
    kind: "runtime_logs",
    budgetBytes: deps.settings.budgetBytes,
    isEmptiedWhenAsked: false,
    survey: async () => [...(await surveyFiles(deps)), ...(await surveyRows(deps))],
    take: async ({ key }) => {
      if (key.startsWith(ROWS)) {
        const isGone = await deps.store.disk.runtimes.takeOfGonePool(key.slice(ROWS.length));
        return isGone ? undefined : "it is needed again";
      }
      return await takeFiles(deps, key);
    },
  };
}

async function surveyRows({ store, settings }: RuntimeLogAreaDeps): Promise<readonly Found[]> {
  const gone = await store.disk.runtimes.listOfGonePools(settings.graceMs);
  return gone.map(({ poolKey, rows }) => ({
    key: `${ROWS}${poolKey}`,
    what: `${rows} ended runtimes of pool ${poolKey}`,
    bytes: 0,
    usedAt: new Date(0),
    heldBy: [],
    garbage: "its pool is gone",
  }));
}

async function surveyFiles({
  store,
  clock,
  dataFolder,
  settings,
}: RuntimeLogAreaDeps): Promise<readonly Found[]> {
  // The folders before the rows: a pool's row exists before its first log.
  const names = await readdir(join(dataFolder, "logs")).catch(() => []);
  const folders = names.filter((name) => /^[0-9a-f]{16}$/.test(name));
  const files = await Promise.all(folders.map((key) => listLogFiles(logFolder(dataFolder, key))));
  const pools = new Set((await store.pools.list()).map(({ key }) => key));
  const live = new Set<string>((await store.runtimes.listLive()).map(({ id }) => id));
  const found: Found[] = [];
  for (const [n, poolKey] of folders.entries()) {
    for (const [runtimeId, parts] of Map.groupBy(files[n] ?? [], (file) => file.runtimeId)) {
      const { bytes, writtenAt } = await sizeOf(parts);
      const isOld = clock.now() - writtenAt.getTime() >= settings.graceMs;
      found.push({
        key: `${poolKey}/${runtimeId}`,
        what: `log of runtime ${runtimeId}`,
        bytes,
        usedAt: writtenAt,
        heldBy: live.has(runtimeId) ? [`runtime ${runtimeId}`] : [],
        garbage: !pools.has(poolKey) && isOld ? "its pool is gone" : undefined,
      });
    }
  }
  return found;
}

async function sizeOf(parts: readonly LogFile[]): Promise<{ bytes: number; writtenAt: Date }> {
  let bytes = 0;
  let written = 0;
  for (const { path } of parts) {
    const found = await stat(path).catch(() => undefined);
    bytes += found?.size ?? 0;
    written = Math.max(written, found?.mtimeMs ?? 0);
  }
  return { bytes, writtenAt: new Date(written) };
}

/** Removes file by file, and the folder only when it is empty: a pool may come back while its old logs are removed. */
async function takeFiles(
  { store, dataFolder }: RuntimeLogAreaDeps,
  key: string,
): Promise<string | undefined> {
  const [poolKey = "", runtimeId = ""] = key.split("/");
  const live = await store.runtimes.listLive();
  if (live.some(({ id }) => id === runtimeId)) return "it is needed again";
  const folder = logFolder(dataFolder, poolKey);
  for (const { path, runtimeId: id } of await listLogFiles(folder))
    if (id === runtimeId) await rm(path, { force: true });
  if ((await store.pools.find(poolKey)) === undefined) await rmdir(folder).catch(() => undefined);
  return undefined;
}
