import { toFault } from "../domain/fault.ts";
import type { Log } from "./log.ts";

/** Repeated work that may fail for a while: logs the first failure of a series, and its end. */
export class Outage {
  readonly #log: Log;
  readonly #op: string;
  #isFailing = false;

  /** `op`: the name of the work in the log. */
  constructor(log: Log, op: string) {
    this.#log = log;
    this.#op = op;
  }

  /** Runs the work once. Never throws: the caller repeats the work anyway. */
  async run(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const fault = toFault(error);
      if (!this.#isFailing)
        this.#log[fault.rule.log]({ op: this.#op, ok: false, code: fault.code, err: fault });
      this.#isFailing = true;
      return;
    }
    if (this.#isFailing) this.#log.info({ op: this.#op, ok: true }, "Recovered");
    this.#isFailing = false;
  }
}
