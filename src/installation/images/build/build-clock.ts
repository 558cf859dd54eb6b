import { Fault } from "../../../domain/fault.ts";
import { systemClock } from "../../../util/clock.ts";
import { Deadline } from "../../../util/deadline.ts";
import { IdleClock } from "../../../util/idle-clock.ts";
import type { BuildLimits } from "./settings.ts";

/** Runs the work under the total clock: past it, its signal aborts with `build_timeout`. */
export async function underTotalClock<T>(
  { totalMs }: Pick<BuildLimits, "totalMs">,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = () =>
    new Fault("build_timeout", `The build took longer than ${totalMs} ms.`, { details: { totalMs } });
  using deadline = new Deadline({ clock: systemClock, ms: totalMs, late }, signal);
  return await work(deadline.signal);
}

/** Its signal aborts with `build_no_progress` when `noProgressMs` pass without a call of `heard`. */
export function startProgressClock({ noProgressMs }: Pick<BuildLimits, "noProgressMs">): IdleClock {
  const message = `The build did nothing for ${noProgressMs} ms: it neither printed, nor received, nor wrote.`;
  const late = () => new Fault("build_no_progress", message, { details: { noProgressMs } });
  return new IdleClock({ ms: noProgressMs, late });
}
