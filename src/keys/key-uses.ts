import type { ApiKey } from "../store/contracts/keys.ts";
import type { Store } from "../store/store.ts";

/** When keys were last used: kept in memory, so that a call costs no write, and written all at once now and then. */
export class KeyUses {
  readonly #keys: Pick<Store["keys"], "noteUse">;
  /** Milliseconds since the epoch, by id, of keys used since the last write. */
  #unwritten = new Map<string, number>();

  constructor(keys: Pick<Store["keys"], "noteUse">) {
    this.#keys = keys;
  }

  note(id: string, atMs: number): void {
    this.#unwritten.set(id, atMs);
  }

  /** The record with what is not written yet. */
  addTo(key: ApiKey): ApiKey {
    const at = this.#unwritten.get(key.id) ?? 0;
    return at <= (key.lastUsedAt?.getTime() ?? 0) ? key : { ...key, lastUsedAt: new Date(at) };
  }

  /** Throws what the Store throws; what could not be written is kept for the next time. */
  async write(): Promise<void> {
    const uses = this.#unwritten;
    if (uses.size === 0) return;
    this.#unwritten = new Map();
    try {
      await this.#keys.noteUse([...uses].map(([id, at]) => ({ id, at: new Date(at) })));
    } catch (error) {
      for (const [id, at] of uses) if (!this.#unwritten.has(id)) this.#unwritten.set(id, at);
      throw error;
    }
  }
}
