import { consultDoctor } from "../app/doctor.ts";
import type { Config } from "../config.ts";
import { type DoctorReport, limitsHold } from "../domain/doctor.ts";
import { Fault } from "../domain/fault.ts";
import { createLog } from "../observe/log.ts";

/**
 * `berth doctor`: shows which limits of plugins hold on the configured engine, one line each, or everything as JSON.
 * Throws where a limit does not hold.
 */
export async function doctor({ config, json }: { config: Config; json: boolean }): Promise<void> {
  const report = await consultDoctor({ config, log: createLog({ level: "error" }) });
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report));
  if (limitsHold(report)) return;
  const failed = report.checks.filter(({ status }) => status === "failed");
  throw new Fault(
    "engine_refused",
    `${failed.length} of ${report.checks.length} checks failed: ${failed.map(({ name }) => name).join(", ")}.`,
  );
}

/** One line per check, with the advice at its end. */
function formatReport({ engine, checks }: DoctorReport): string {
  const lines = checks.map(({ name, status, found, advice }) => {
    const text = advice === undefined ? found : `${found}; ${advice}`;
    return `${status.toUpperCase().padEnd(9)}${name.padEnd(14)}${text}\n`;
  });
  const { name, version, arch, cgroupVersion } = engine;
  return `engine: ${name} ${version}, ${arch}, cgroup version ${cgroupVersion}\n${lines.join("")}`;
}
