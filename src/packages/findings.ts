const WARNINGS_MAX = 50;
const NODES_MAX = 500_000;

/** What reading a Package gathers beside its result: warnings, and the count that keeps aliases from multiplying. */
export class Findings {
  readonly #warnings = new Set<string>();
  #more = 0;
  #nodes = 0;

  /** At most 50 different ones are kept, in characters that any database takes; what comes after is counted. */
  warn(written: string): void {
    const message = written.toWellFormed().replace(/\p{Cc}/gu, "\uFFFD");
    if (this.#warnings.has(message)) return;
    if (this.#warnings.size < WARNINGS_MAX) this.#warnings.add(message);
    else this.#more += 1;
  }

  get warnings(): readonly string[] {
    const kept = [...this.#warnings];
    return this.#more === 0 ? kept : [...kept, `${this.#more} more warnings are not shown`];
  }

  /** False once more values were visited than any honest package has. */
  visit(): boolean {
    this.#nodes += 1;
    return this.#nodes <= NODES_MAX;
  }
}
