import { holdLock } from "./serving.ts";

/** One holder per key at a time, first come, first served. A key uses memory only while it is held or waited for. */
export class KeyedLock<K> {
  readonly #tails = new Map<K, Promise<void>>();

  async run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const { promise: after, resolve: release } = Promise.withResolvers<void>();
    const tail = before.then(() => after);
    this.#tails.set(key, tail);
    await before;
    try {
      return await holdLock(work);
    } finally {
      release();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
