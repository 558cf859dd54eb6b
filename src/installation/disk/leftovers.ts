/** The disk area of interrupted work: folders of builds and downloads, partial uploads, build containers. */
import { lstat, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Engine } from "../../engine/engine.ts";
import { formatLabelFilter, parseLabels } from "../../engine/labels.ts";
import type { ImageUse } from "../../store/contracts/disk.ts";
import { type Area, type AreaSettings, diskUsage, type Found } from "./area.ts";
import { type HoldWheelCacheDeps, holdWheelCache } from "./hold-wheel-cache.ts";

/** A folder whose entries belong to running work. */
export interface WorkFolder {
  readonly path: string;
  readonly what: string;
  /** An entry of this age or older is a leftover, unless `of` says otherwise. */
  readonly ageMs: number;
  /** What its entries are named after, where running work may still need an old one. */
  readonly of?: "image" | "task";
}

export interface LeftoverAreaDeps extends HoldWheelCacheDeps {
  readonly engine: Pick<Engine, "listContainers" | "removeContainer">;
  readonly folders: readonly WorkFolder[];
  readonly settings: AreaSettings & HoldWheelCacheDeps["settings"];
}

const CONTAINER = "container ";

export function createLeftoverArea(deps: LeftoverAreaDeps): Area {
  return {
    kind: "leftovers",
    budgetBytes: null,
    isEmptiedWhenAsked: false,
    survey: async (signal) => {
      const found: Found[] = [];
      for (const folder of deps.folders) found.push(...(await surveyFolder(deps, folder, signal)));
      return [...found, ...(await surveyContainers(deps, signal))];
    },
    take: async ({ key }, signal) => {
      if (key.startsWith(CONTAINER)) {
        await deps.engine.removeContainer(key.slice(CONTAINER.length), signal);
        return undefined;
      }
      const remove = () => rm(key, { recursive: true, force: true });
      const isOfBuild = deps.folders.some(({ of, path }) => of === "image" && dirname(key) === path);
      // A build of the same image that begins now uses the folder again: it waits for the lease, or is found here.
      if (isOfBuild) return await holdWheelCache(deps, remove, signal);
      await remove();
      return undefined;
    },
  };
}

async function surveyFolder(
  deps: LeftoverAreaDeps,
  folder: WorkFolder,
  signal: AbortSignal,
): Promise<readonly Found[]> {
  const names = await readdir(folder.path).catch(() => []);
  const images = folder.of === "image" ? await deps.store.disk.images.list() : [];
  const found: Found[] = [];
  for (const name of names) {
    const path = join(folder.path, name);
    const changedAt = await timeOf(path, name);
    if (changedAt === undefined) continue;
    const isYoung = deps.clock.now() - changedAt.getTime() < folder.ageMs;
    const holder = isYoung
      ? "its age: its work may still run"
      : await holderOf(deps, { folder, name, images });
    found.push({
      key: path,
      what: `${folder.what} ${name}`,
      bytes: await diskUsage(path, signal),
      usedAt: changedAt,
      heldBy: holder === undefined ? [] : [holder],
      garbage: "its work was interrupted",
    });
  }
  return found;
}

async function holderOf(
  { store }: LeftoverAreaDeps,
  { folder, name, images }: { folder: WorkFolder; name: string; images: readonly ImageUse[] },
): Promise<string | undefined> {
  if (folder.of === "image")
    return images.some(({ key, isLeased }) => isLeased && key.startsWith(name)) ? "a build" : undefined;
  if (folder.of !== "task") return undefined;
  return (await store.disk.tasks.isUnfinished(name)) ? `task ${name}` : undefined;
}

/** Names of links begin with the time of their creation, because a link has the times of its file. */
async function timeOf(path: string, name: string): Promise<Date | undefined> {
  const [, stamp] = /^(\d{13})-/.exec(name) ?? [];
  if (stamp !== undefined) return new Date(Number(stamp));
  return (await lstat(path).catch(() => undefined))?.mtime;
}

async function surveyContainers(
  { store, engine, clock, settings }: LeftoverAreaDeps,
  signal: AbortSignal,
): Promise<readonly Found[]> {
  const labels = formatLabelFilter({ instance: store.instanceId, kind: "build" });
  const containers = await engine.listContainers(labels, signal);
  if (containers.length === 0) return [];
  const rows = await store.disk.images.list();
  return containers.map(({ id, name, createdAt, labels: given }): Found => {
    const imageKey = parseLabels(given)?.imageKey;
    const isBuilding = rows.some(({ key, isLeased }) => isLeased && key === imageKey);
    const isYoung = clock.now() - createdAt.getTime() < settings.graceMs;
    return {
      key: `${CONTAINER}${id}`,
      what: `build container ${name}`,
      bytes: 0,
      usedAt: createdAt,
      heldBy: isBuilding ? ["a build"] : isYoung ? ["its age: its work may still run"] : [],
      garbage: "its build was interrupted",
    };
  });
}
