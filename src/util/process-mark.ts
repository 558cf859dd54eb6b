/**
 * Distinguishes a process from a later one with the same pid: by pid, start time and boot. A process in another PID
 * namespace, such as that of a container, cannot be found by its pid.
 */
import { readFile, readlink } from "node:fs/promises";
import { errorCode } from "./error-code.ts";

export interface ProcessMark {
  readonly pid: number;
  /** In clock ticks since the boot. */
  readonly startTime: string;
  readonly bootId: string;
}

export async function markOwnProcess(): Promise<ProcessMark> {
  const startTime = await readStartTime(process.pid);
  if (startTime === undefined) throw new Error("/proc does not show this process");
  return { pid: process.pid, startTime, bootId: await readBootId() };
}

/** As seen from this process's PID namespace. */
export async function isRunning({ pid, startTime, bootId }: ProcessMark): Promise<boolean> {
  return bootId === (await readBootId()) && startTime === (await readStartTime(pid));
}

export async function readBootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}

/** Equal for two processes that see each other's pids. */
export async function readPidNamespace(): Promise<string> {
  return await readlink("/proc/self/ns/pid");
}

/** Undefined where the process does not exist, or only its zombie. */
async function readStartTime(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(ignoreGone);
  // The name in parentheses may contain anything, so counting starts after it: state is field 3, the start field 22.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields === undefined || fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

function ignoreGone(error: unknown): undefined {
  if (errorCode(error) !== "ENOENT" && errorCode(error) !== "ESRCH") throw error;
}
