/**
 * The cgroup that is the parent of all plugin containers. Its CPU weight is the share that all plugins together get of
 * full processors, however many they are; it limits nothing while there is time for all.
 */
import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { EngineInfo } from "../../engine/engine.ts";
import type { Log } from "../../observe/log.ts";

/** Engines on cgroup version 2 name parents as systemd slices, those on version 1 as paths. */
export function cgroupParentFor({ cgroupVersion }: Pick<EngineInfo, "cgroupVersion">): string {
  return cgroupVersion === "2" ? "berth.slice" : "/berth";
}

/**
 * A weight, in per cent of an ordinary neighbour's, that starves neither plugins nor Berth. With version 2 a neighbour is
 * all services of the host together. With version 1 it may be each single process: then plugins weigh as much as one on
 * each processor, so that a compile leaves them as much as it would leave another compile.
 */
export function fairWeightPercent({
  cgroupVersion,
  cpus,
}: Pick<EngineInfo, "cgroupVersion" | "cpus">): number {
  return cgroupVersion === "2" ? 100 : 100 * Math.max(1, cpus);
}

/**
 * Gives the parent its weight, in per cent of an ordinary neighbour's. Answers false, after one warning, where this
 * process may not write there (it runs in a container, or without root): plugins then weigh as much as everybody else,
 * unless the host gives the weight.
 */
export async function setCgroupWeight({
  root = "/sys/fs/cgroup",
  parent,
  weightPercent,
  cgroupVersion,
  log,
}: {
  readonly root?: string;
  readonly parent: string;
  readonly weightPercent: number;
  readonly cgroupVersion: EngineInfo["cgroupVersion"];
  readonly log: Log;
}): Promise<boolean> {
  const isV2 = cgroupVersion === "2";
  const controller = isV2 ? root : join(root, "cpu");
  const folder = join(controller, parent);
  // An ordinary group has the weight 100 in version 2 and 1024 shares in version 1, where 2 is the least.
  const [file, ordinary, least] = isV2
    ? (["cpu.weight", 100, 1] as const)
    : (["cpu.shares", 1024, 2] as const);
  const weight = Math.max(least, Math.round((ordinary * weightPercent) / 100));
  try {
    await access(controller);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, file), String(weight));
    return true;
  } catch (error) {
    const unit = isV2
      ? `a systemd unit ${parent} with CPUWeight=${weight}`
      : `${weight} in ${join(folder, file)}`;
    log.warn(
      { op: "cgroup.weight", ok: false, parent, weight, err: error },
      "This process may not set the CPU weight of plugins, so on a full processor they compete with Berth on equal " +
        `terms. Set it on the host: ${unit}.`,
    );
    return false;
  }
}
