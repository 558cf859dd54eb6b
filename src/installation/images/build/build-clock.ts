import { Fault } from "../../../domain/fault.ts";
import { systemClock } from "../../../util/clock.ts";
import { Deadline } from "../../../util/deadline.ts";
import type { BuildLimits } from "./settings.ts";

/** Runs the work; after `totalMs` its signal aborts with `build_timeout`. */
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

/** Aborts its signal with `build_no_progress` when `noProgressMs` pass without a call of `progress`. */
export class ProgressClock implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor({ noProgressMs }: Pick<BuildLimits, "noProgressMs">) {
    this.#timer = setTimeout(() => {
      const details = { noProgressMs };
      const message = `The build made no progress for ${noProgressMs} ms: it printed, received and wrote nothing.`;
      this.#controller.abort(new Fault("build_no_progress", message, { details }));
    }, noProgressMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  progress(): void {
    if (!this.#controller.signal.aborted) this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
