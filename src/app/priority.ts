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
  set = SYSTEM,
}: {
  readonly nice: number;
  readonly log: Log;
  readonly set?: PrioritySetters;
}): void {
  try {
    set.process(nice);
    setSession(nice, set);
  } catch (error) {
    log.info(
      { op: "process.priority", ok: false, nice, err: error },
      "Berth keeps the priority that it was started with.",
    );
  }
}

/** Each throws what the kernel answers. */
interface PrioritySetters {
  process(nice: number): void;
  session(nice: number): void;
}

const SYSTEM: PrioritySetters = {
  process: (nice) => setPriority(nice),
  session: (nice) => writeFileSync("/proc/self/autogroup", String(nice)),
};

/**
 * A kernel without such groups has no such file (`ENOENT`), and refuses a number for a session without a group, such
 * as that of the machine's first process (`EINVAL`). In both, a process's own number counts on the whole machine.
 */
function setSession(nice: number, set: PrioritySetters): void {
  try {
    set.session(nice);
  } catch (error) {
    if (!["ENOENT", "EINVAL"].includes(String(errorCode(error)))) throw error;
  }
}
