/**
 * Checks which limits of the profile really hold on this engine, once for each engine and profile. The report is a file
 * in the data folder, which every process of the instance reads.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DoctorReport, limitsHold } from "../../domain/doctor.ts";
import { Fault, toFault } from "../../domain/fault.ts";
import type { EngineInfo } from "../../engine/engine.ts";
import type { Log } from "../../observe/log.ts";
import { replaceFile } from "../../util/replace-file.ts";
import { profileHash } from "../launch/profile.ts";
import { listRuntimeImages } from "../launch/runtime-image.ts";
import { judgeProbe } from "./judge.ts";
import { type ProbeDeps, probePool, runProbe } from "./probe-container.ts";

export interface DoctorDeps extends ProbeDeps {
  readonly log: Log;
  readonly info: EngineInfo;
}

/** Runs the probe and judges its findings. Throws `image_missing`, or what the engine refused. */
export async function examine(deps: DoctorDeps, signal: AbortSignal): Promise<DoctorReport> {
  const { engine, info } = deps;
  const [image] = await listRuntimeImages(engine, signal);
  if (image === undefined)
    throw new Fault(
      "image_missing",
      "The engine has no runtime image. Build it with runtime-images/python/build or ./dev up.",
    );
  const pool = probePool(image.id);
  const { spec, end } = await runProbe(deps, pool, signal);
  const { name, version, arch, cgroupVersion } = info;
  return {
    key: await keyOf(deps),
    engine: { name, version, arch, cgroupVersion },
    checkedAt: new Date().toISOString(),
    checks: [...judgeProbe(end, spec)],
  };
}

/**
 * As `examine`, in the background of a start, if something has changed since the last report. Never throws: a failure is
 * logged, and the next start tries again.
 */
export async function examineOnce(deps: DoctorDeps, signal: AbortSignal): Promise<void> {
  const { log, dataFolder } = deps;
  try {
    if ((await readReport(dataFolder))?.key === (await keyOf(deps))) return;
    const report = await examine(deps, signal);
    await writeReport(dataFolder, report);
    for (const { name, status, found, advice } of report.checks)
      if (status !== "ok") log.warn({ op: "doctor.check", ok: false, check: name, status, advice }, found);
    log.info({ op: "doctor.run", ok: limitsHold(report), checks: report.checks.length });
  } catch (error) {
    if (!signal.aborted)
      log.warn(
        { op: "doctor.run", ok: false, err: toFault(error) },
        "Could not check whether the limits hold",
      );
  }
}

/** Undefined before the first report, and if the file cannot be read. */
export async function readReport(dataFolder: string): Promise<DoctorReport | undefined> {
  const text = await readFile(pathOf(dataFolder), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return DoctorReport.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

async function writeReport(dataFolder: string, report: DoctorReport): Promise<void> {
  await replaceFile(pathOf(dataFolder), `${JSON.stringify(report, null, 2)}\n`);
}

function pathOf(dataFolder: string): string {
  return join(dataFolder, "doctor.json");
}

async function keyOf({ info, instanceId, profile, probeFile }: DoctorDeps): Promise<string> {
  const { name, version, arch, cgroupVersion } = info;
  const limits = profileHash(probePool("probe"), { instanceId, settings: profile });
  return createHash("sha256")
    .update(JSON.stringify([name, version, arch, cgroupVersion, limits]))
    .update(await readFile(probeFile))
    .digest("hex");
}
