import { toFault } from "../../../domain/fault.ts";
import type { Log } from "../../../observe/log.ts";
import { type Clock, repeat } from "../../../util/clock.ts";
import type { ReplicaRange, SupervisionSettings } from "../../settings.ts";
import { judgeLoad, NO_TREND } from "./scale-rule.ts";
import type { SupervisedRuntime } from "./supervised-runtime.ts";

export interface ReplicaCountOptions {
  readonly poolKey: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: SupervisionSettings["scaling"];
  /** Those that take calls. */
  readonly serving: () => readonly Pick<SupervisedRuntime, "openCalls">[];
  readonly onChange: () => void;
  readonly lifetime: AbortSignal;
}

/** The desired number of runtimes of a pool within its bounds, by the load that its runners report. */
export class ReplicaCount {
  readonly #options: ReplicaCountOptions;
  /** Undefined: the pool has not served yet. */
  #count: number | undefined;
  #range: ReplicaRange = { min: 1, max: 1 };
  #trend = NO_TREND;
  #watching: AbortController | undefined;

  constructor(options: ReplicaCountOptions) {
    this.#options = options;
  }

  within({ min, max }: ReplicaRange): number {
    return Math.min(Math.max(this.#count ?? min, min), max);
  }

  /** The pool serves. `present`: the number that an earlier keeper left stays until the load says otherwise. */
  serves(range: ReplicaRange, present: number): void {
    this.#count ??= present;
    this.#count = this.within(range);
    this.#range = range;
    if (range.max === range.min) this.#stopWatching();
    else this.#watch();
  }

  /** The pool stops: it starts again with its minimum. */
  reset(): void {
    this.#count = undefined;
    this.#stopWatching();
  }

  #watch(): void {
    if (this.#watching !== undefined) return;
    const { clock, settings, lifetime, log, poolKey } = this.#options;
    const watching = new AbortController();
    this.#watching = watching;
    const signal = AbortSignal.any([watching.signal, lifetime]);
    const look = () =>
      this.#look(signal).catch((error: unknown) =>
        log.error({ op: "pool.scale", ok: false, pool: poolKey, err: toFault(error) }),
      );
    void repeat({ clock, everyMs: settings.lookMs }, look, signal).catch(() => undefined);
  }

  #stopWatching(): void {
    this.#watching?.abort();
    this.#watching = undefined;
    this.#trend = NO_TREND;
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock, settings, serving } = this.#options;
    const answers = await Promise.all(serving().map((runtime) => runtime.openCalls()));
    if (signal.aborted) return;
    const openCalls = answers.filter((calls) => calls !== undefined);
    // The load is unknown if one does not answer; the health checks decide whether it serves.
    if (openCalls.length < answers.length) {
      this.#trend = NO_TREND;
      return;
    }
    const wanted = this.within(this.#range);
    const { trend, verdict } = judgeLoad(this.#trend, { at: clock.elapsed(), wanted, openCalls }, settings);
    this.#trend = trend;
    if (verdict === "more" && wanted < this.#range.max) this.#change(wanted + 1, openCalls);
    if (verdict === "less" && wanted > this.#range.min) this.#change(wanted - 1, openCalls);
  }

  #change(count: number, openCalls: readonly number[]): void {
    const { log, poolKey, onChange } = this.#options;
    log.info({ op: "pool.scale", ok: true, pool: poolKey, from: this.#count, to: count, openCalls });
    this.#count = count;
    this.#trend = NO_TREND;
    onChange();
  }
}
