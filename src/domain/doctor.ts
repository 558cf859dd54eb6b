/** The result of `berth doctor`: each limit of a plugin's container, tried on this engine. */
import { z } from "zod";

export const DOCTOR_CHECKS = [
  "memory",
  "cpu",
  "pids",
  "open_files",
  "tmp",
  "root",
  "user",
  "capabilities",
  "privileges",
  "seccomp",
  "network",
] as const;
export type DoctorCheckName = (typeof DOCTOR_CHECKS)[number];

const DoctorCheck = z.object({
  name: z.enum(DOCTOR_CHECKS),
  /** `unknown`: the probe could not tell; that proves neither. */
  status: z.enum(["ok", "failed", "unknown"]),
  /** One sentence: what the probe tried and what happened. */
  found: z.string(),
  /** What to do; absent where the limit holds. */
  advice: z.string().optional(),
});
export type DoctorCheck = z.infer<typeof DoctorCheck>;

export const DoctorReport = z.object({
  /** Identifies engine, profile and probe: a report is reused while this key stays the same. */
  key: z.string(),
  engine: z.object({
    name: z.string(),
    version: z.string(),
    arch: z.string(),
    cgroupVersion: z.enum(["1", "2"]),
  }),
  checkedAt: z.iso.datetime(),
  /** One for each of `DOCTOR_CHECKS`, in that order. */
  checks: z.array(DoctorCheck),
});
export type DoctorReport = z.infer<typeof DoctorReport>;

/** False where the report shows that a limit does not hold. */
export function limitsHold({ checks }: Pick<DoctorReport, "checks">): boolean {
  return checks.every(({ status }) => status !== "failed");
}
