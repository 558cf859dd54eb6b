/**
 * Handles exceptions and rejections that nothing caught: defects of Berth. Each is logged and ends the unit of work in
 * which it was thrown. The process goes on, unless its state is in doubt: then `onDoubt` stops it.
 */
import type { Clock } from "../util/clock.ts";
import { leaveServing } from "../util/serving.ts";
import type { Log } from "./log.ts";

export interface UncaughtOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** More exceptions within a minute put the process in doubt. */
  readonly perMinuteMax: number;
  /** Called once, with the reason, when the process is in doubt. */
  readonly onDoubt: (why: string) => void;
}

const MINUTE_MS = 60_000;

/** Until it is disposed; after that an exception ends the process, as Node does by default. */
export function watchUncaught({ log, clock, perMinuteMax, onDoubt }: UncaughtOptions): Disposable {
  let times: number[] = [];
  let isInDoubt = false;
  const onUncaught = (error: unknown, origin: string): void => {
    const { unit, isUnderLock } = leaveServing();
    times = [...times.filter((time) => time > clock.now() - MINUTE_MS), clock.now()];
    const doubt = whyInDoubt(error, { isUnderLock, isTooOften: times.length > perMinuteMax });
    const verdict = doubt !== undefined ? "process_ends" : unit === undefined ? "goes_on" : "unit_ends";
    const err = error instanceof Error ? error : new Error(String(error));
    const fields = { op: "process.exception", ok: false, origin, unit: unit?.kind ?? "unknown", verdict };
    log.error({ ...fields, ...unit?.fields, ...(doubt !== undefined && { doubt }), err });
    unit?.end(error);
    if (doubt === undefined || isInDoubt) return;
    isInDoubt = true;
    onDoubt(doubt);
  };
  const onRejection = (reason: unknown): void => onUncaught(reason, "unhandledRejection");
  process.on("uncaughtException", onUncaught);
  process.on("unhandledRejection", onRejection);
  return {
    [Symbol.dispose]: () => {
      process.off("uncaughtException", onUncaught);
      process.off("unhandledRejection", onRejection);
    },
  };
}

/** Code of the embedded database and of the driver: later queries would meet their half-done state. */
const DRIVERS = /node_modules\/(@electric-sql|@prisma|pg|pg-pool|pg-protocol)\//;

function whyInDoubt(
  error: unknown,
  { isUnderLock, isTooOften }: { readonly isUnderLock: boolean; readonly isTooOften: boolean },
): string | undefined {
  if (isUnderLock) return "it was thrown while holding a lock";
  if (error instanceof Error && error.name === "RuntimeError") return "the embedded database broke";
  const thrownAt =
    error instanceof Error ? error.stack?.split("\n").find((line) => /^\s+at /.test(line)) : undefined;
  if (thrownAt !== undefined && DRIVERS.test(thrownAt)) return "it was thrown inside the database driver";
  return isTooOften ? "there were too many exceptions within a minute" : undefined;
}
