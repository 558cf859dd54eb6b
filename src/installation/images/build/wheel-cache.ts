import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Engine } from "../../../engine/engine.ts";

/** Name of the container that has the wheel cache mounted. */
export function wheelsContainerName(buildName: string): string {
  return `${buildName}${SUFFIX}`;
}

export function isWheelsContainer(name: string): boolean {
  return name.endsWith(SUFFIX);
}

const SUFFIX = "-wheels";
/** Names that the installer gives to what it unpacks, until it moves it to its place. */
const UNPACKING = /^\.tmp/;

export interface WheelCacheSweep {
  readonly engine: Pick<Engine, "listContainers">;
  readonly cacheFolder: string;
  readonly instanceId: string;
}

/**
 * Removes what killed installers were unpacking in the shared cache. Does nothing while another install runs, whose
 * files they might be: the last one to end clears for all. Younger files of an install that begins meanwhile stay.
 */
export async function clearUnpacking(
  { engine, cacheFolder, instanceId }: WheelCacheSweep,
  signal: AbortSignal,
): Promise<void> {
  const before = Date.now();
  const builds = await engine.listContainers({ "berth.instance": instanceId, "berth.kind": "build" }, signal);
  if (builds.some(({ name }) => name.endsWith(SUFFIX))) return;
  const names = await readdir(cacheFolder).catch(() => []);
  for (const name of names.filter((found) => UNPACKING.test(found))) {
    const path = join(cacheFolder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && found.birthtimeMs < before) await rm(path, { recursive: true, force: true });
  }
}
