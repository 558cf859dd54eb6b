/** How late this process was, and how long work waited for a processor. No I/O and no clock: times are passed in. */

export interface HostStrainRules {
  /** A timer that fires later than this shows that the process did not run. */
  readonly lateMs: number;
  /** Share of a period in which something waited for a processor, from which on the host counts as busy. */
  readonly pressurePercentMax: number;
  /** This time before a silence counts too: a delayed question makes a late answer. */
  readonly lookBackMs: number;
  /** How far back `explain` may be asked. */
  readonly keptMs: number;
}

interface Late {
  readonly at: number;
  readonly lateMs: number;
}

interface Stall {
  readonly at: number;
  /** Microseconds since the host started, as the kernel adds them up. */
  readonly totalUs: number;
}

export class HostStrain {
  readonly #rules: HostStrainRules;
  #late: Late[] = [];
  #stalls: Stall[] = [];
  #due: number | undefined;

  constructor(rules: HostStrainRules) {
    this.#rules = rules;
  }

  /** The timer of this process fired, and will do so again after `nextMs`. */
  beat(at: number, nextMs: number): void {
    const lateMs = this.#due === undefined ? 0 : at - this.#due;
    // A clock that was set back measures the elapsed time no better than one that jumped.
    if (lateMs > this.#rules.lateMs || lateMs < -nextMs - this.#rules.lateMs)
      this.#late.push({ at, lateMs: Math.max(lateMs, 1) });
    this.#late = this.#late.filter((late) => Math.abs(at - late.at) <= this.#rules.keptMs);
    this.#due = at + nextMs;
  }

  /** `totalUs`: how long something has waited for a processor since the host started. */
  stalled(at: number, totalUs: number): void {
    this.#stalls = this.#stalls.filter((stall) => stall.at < at && at - stall.at <= this.#rules.keptMs);
    this.#stalls.push({ at, totalUs });
  }

  /** Time since `since` in which this process did not run. */
  lateMs(since: number, now: number): number {
    const overdue = this.#due === undefined ? 0 : now - this.#due;
    const late = this.#late.filter(({ at }) => at >= since);
    return late.reduce((sum, { lateMs }) => sum + lateMs, overdue > this.#rules.lateMs ? overdue : 0);
  }

  /** Why a silence between `since` and `now` does not count; undefined on a host with time for all. */
  explain(since: number, now: number): string | undefined {
    const from = since - this.#rules.lookBackMs;
    const lateMs = this.lateMs(from, now);
    if (lateMs > 0) return `Berth itself did not run for ${Math.round(lateMs)} ms`;
    const percent = this.#pressurePercent(from);
    if (percent === undefined || percent < this.#rules.pressurePercentMax) return undefined;
    return `work waited for a processor of the host in ${Math.round(percent)} % of the time`;
  }

  /** From the last reading before `since` to the newest one; undefined if there are fewer than two. */
  #pressurePercent(since: number): number | undefined {
    const last = this.#stalls.at(-1);
    const first = this.#stalls.findLast(({ at }) => at <= since) ?? this.#stalls[0];
    if (last === undefined || first === undefined || last.at <= first.at) return undefined;
    return (last.totalUs - first.totalUs) / (10 * (last.at - first.at));
  }
}
