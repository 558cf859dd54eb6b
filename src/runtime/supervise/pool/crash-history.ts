import { backoffMs } from "../../../util/backoff.ts";
import type { SupervisionSettings } from "../../settings.ts";

export type CrashVerdict =
  | { readonly verdict: "now" }
  | { readonly verdict: "wait"; readonly delayMs: number }
  | { readonly verdict: "give_up"; readonly crashes: number };

type CrashRules = Pick<
  SupervisionSettings,
  "backoffFirstMs" | "backoffMaxMs" | "healthyResetMs" | "crashesMax" | "crashWindowMs"
>;

/**
 * Remembers how often a pool's runtimes failed lately and decides when the next may start: at once after the first
 * failure, then after a doubling delay, never after too many within the window. A runtime that was healthy for
 * `healthyResetMs` resets the delay, not the window.
 */
export class CrashHistory {
  readonly #rules: CrashRules;
  #times: number[] = [];
  #inARow = 0;

  constructor(rules: CrashRules) {
    this.#rules = rules;
  }

  /**
   * `healthyForMs`: how long the runtime that failed had been ready, 0 when it never was. `isPluginFault` false: the
   * next start waits as long, but the failure does not count towards a crash loop.
   */
  note(failure: {
    readonly at: number;
    readonly healthyForMs: number;
    readonly isPluginFault?: boolean;
  }): CrashVerdict {
    const { backoffFirstMs, backoffMaxMs, healthyResetMs, crashesMax, crashWindowMs } = this.#rules;
    if (failure.healthyForMs >= healthyResetMs) this.#inARow = 0;
    this.#inARow += 1;
    this.#times = this.#times.filter((time) => time > failure.at - crashWindowMs);
    const { isPluginFault = true } = failure;
    if (isPluginFault) this.#times.push(failure.at);
    if (isPluginFault && this.#times.length >= crashesMax)
      return { verdict: "give_up", crashes: this.#times.length };
    if (this.#inARow === 1) return { verdict: "now" };
    const delayMs = backoffMs(this.#inARow - 1, { firstMs: backoffFirstMs, maxMs: backoffMaxMs });
    return { verdict: "wait", delayMs };
  }

  /** After a manual restart, an upgrade or changed limits: forgets everything before. */
  reset(): void {
    this.#times = [];
    this.#inARow = 0;
  }
}
