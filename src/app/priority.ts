import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import type { Log } from "../observe/log.ts";
import { errorCode } from "../util/error-code.ts";

/**
 * Gives this process its scheduling priority (`nice`, -20 to 19), and with it whatever it starts from now on: the
 * database's thread and its own Redis. All plugins and their callers wait for this one thread, so on full processors it
 * has to come before them. Where the kernel groups processes by session, a process's own number counts within its
 * session alone, and the session has one too. Only root may lower either: whoever may not is told so in the log, and
 * goes on as it is.
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
      "Berth keeps the priority it was started with.",
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
