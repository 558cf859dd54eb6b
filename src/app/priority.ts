import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import type { Log } from "../observe/log.ts";
import { errorCode } from "../util/error-code.ts";

/**
 * Sets the scheduling priority (`nice`, -20 to 19) of this process and of everything that it starts from now on: the
 * database's thread and its own Redis. All plugins and their callers wait for this one thread, so on busy processors it
 * must run before them. Where the kernel groups processes by session, a process's own number counts only within its
 * session, and the session has one too. Only root may lower either; without that right, Berth logs it and keeps its
 * priority.
 */
export function takePriority({
  nice,
  log,
  set = setBoth,
}: {
  readonly nice: number;
  readonly log: Log;
  readonly set?: (nice: number) => void;
}): void {
  try {
    set(nice);
  } catch (error) {
    log.info(
      { op: "process.priority", ok: false, nice, err: error },
      "Berth keeps the priority that it was started with.",
    );
  }
}

function setBoth(nice: number): void {
  setPriority(nice);
  try {
    writeFileSync("/proc/self/autogroup", String(nice));
  } catch (error) {
    // a kernel without such groups
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
