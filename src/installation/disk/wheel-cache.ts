/**
 * The disk area of the wheel cache that builds share. Its unpacked wheels lie in `archive-v*`, one folder each, and those
 * that were built from source in `built-v*`; an installer that misses one fetches or builds it again (tried with uv
 * 0.13). No build may read while files are removed: builds wait for the lease, and a collection that finds a build leaves
 * the cache alone.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Area, diskUsage, type Found } from "./area.ts";
import { type HoldWheelCacheDeps, holdWheelCache } from "./hold-wheel-cache.ts";

export interface WheelCacheAreaDeps extends HoldWheelCacheDeps {
  readonly folder: string;
  readonly settings: HoldWheelCacheDeps["settings"] & { readonly budgetBytes: number };
}

const REST = "index of the cache";

export function createWheelCacheArea(deps: WheelCacheAreaDeps): Area {
  const { folder, settings } = deps;
  return {
    kind: "wheel_cache",
    budgetBytes: settings.budgetBytes,
    isEmptiedWhenAsked: false,
    survey: (signal) => survey(folder, signal),
    hold: (work, signal) => holdWheelCache(deps, work, signal),
    take: async ({ key }) => {
      await rm(join(folder, key), { recursive: true, force: true });
      return undefined;
    },
  };
}

async function survey(folder: string, signal: AbortSignal): Promise<readonly Found[]> {
  const found: Found[] = [];
  let rest = 0;
  for (const name of await readdir(folder).catch(() => [])) {
    if (!/^(?:archive|built)-v\d+$/.test(name)) {
      rest += await diskUsage(join(folder, name), signal);
      continue;
    }
    for (const wheel of await readdir(join(folder, name)).catch(() => [])) {
      const path = join(folder, name, wheel);
      const seen = await lookAt(path);
      found.push({
        key: join(name, wheel),
        what: seen.name ?? `wheel ${wheel}`,
        bytes: await diskUsage(path, signal),
        usedAt: seen.usedAt,
        heldBy: [],
      });
    }
  }
  if (rest > 0) found.push({ key: REST, what: REST, bytes: rest, usedAt: new Date(), heldBy: ["the cache"] });
  return found;
}

/** An install reads a wheel's description: its access time, as exact as the file system keeps it, is the last use. */
async function lookAt(path: string): Promise<{ name: string | undefined; usedAt: Date }> {
  const names = await readdir(path).catch(() => []);
  const about = names.find((name) => name.endsWith(".dist-info"));
  const built = names.find((name) => name.endsWith(".whl"));
  const read = about === undefined ? join(path, built ?? "") : join(path, about, "WHEEL");
  const found = (await stat(read).catch(() => undefined)) ?? (await stat(path).catch(() => undefined));
  return {
    name: about?.slice(0, -".dist-info".length) ?? built,
    usedAt: new Date(Math.max(found?.atimeMs ?? 0, found?.mtimeMs ?? 0)),
  };
}
