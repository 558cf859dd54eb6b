/**
 * A cause of a failure contains output of a plugin, a package or a build. Where the database refuses it for that, only its
 * code is written, so that what has failed is recorded as failed.
 */
import { type FaultJson, isFault } from "../../../domain/fault.ts";
import type { TaskEventData } from "../../../domain/task.ts";

/** Writes the cause, or else only its code. Throws a Fault as it is, and what the second try throws. */
export function writeCause<C extends FaultJson | undefined, T>(
  cause: C,
  write: (cause: C | FaultJson) => Promise<T>,
): Promise<T> {
  return writeOrBare<C | FaultJson, T>(cause, (full) => full && bareCause(full), write);
}

/** As `writeCause`, for a value that contains a cause. */
export async function writeOrBare<V, T>(
  full: V,
  toBare: (full: V) => V,
  write: (value: V) => Promise<T>,
): Promise<T> {
  try {
    return await write(full);
  } catch (error) {
    if (isFault(error)) throw error;
    return await write(toBare(full));
  }
}

function bareCause({ code }: FaultJson): FaultJson {
  return {
    code,
    message: "The message of this failure could not be stored; only its code is known.",
  };
}

export function bareEvent(event: TaskEventData): TaskEventData {
  return "cause" in event && event.cause !== undefined ? { ...event, cause: bareCause(event.cause) } : event;
}
