const WARNINGS_MAX = 50;
const NODES_MAX = 500_000;

/** Collects the warnings of reading a package, and counts its values, so that aliases cannot multiply them without end. */
export class Findings {
  readonly #warnings = new Set<string>();
  #more = 0;
  #nodes = 0;

  /** Keeps at most 50 different warnings, without control characters, and counts the rest. */
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

  /** Counts one value; false once there are more than any honest package has. */
  visit(): boolean {
    this.#nodes += 1;
    return this.#nodes <= NODES_MAX;
  }
}
