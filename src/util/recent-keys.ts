/** Remembers the last `max` keys, to recognise a thing that arrives twice within a short time. */
export class RecentKeys {
  readonly #keys = new Set<string>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** True for a key that is not among the last ones; it is added to them. */
  isNew(key: string): boolean {
    if (this.#keys.has(key)) return false;
    this.#keys.add(key);
    for (const oldest of this.#keys) {
      if (this.#keys.size <= this.#max) break;
      this.#keys.delete(oldest);
    }
    return true;
  }
}
