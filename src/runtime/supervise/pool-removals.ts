import type { Store } from "../../store/store.ts";
import type { LogKeeper } from "../logs/log-keeper.ts";
import { type Announcer, announce, TOPICS } from "../reach/announce.ts";
import type { HeldPools } from "./held-pools.ts";

export interface PoolRemovalsOptions {
  readonly store: Pick<Store, "pools">;
  readonly logs: Pick<LogKeeper, "removePool">;
  readonly queue: Announcer;
  readonly held: HeldPools;
}

/**
 * Removes pools whose lease this process holds: containers, logs and row. A pool that an install came to need meanwhile
 * keeps its row, and its next start makes new containers.
 */
export class PoolRemovals {
  readonly #options: PoolRemovalsOptions;
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: PoolRemovalsOptions) {
    this.#options = options;
  }

  /** Joins a removal in progress. Throws what engine or store refused: ask again. */
  remove(poolKey: string): Promise<void> {
    const removing =
      this.#running.get(poolKey) ?? this.#remove(poolKey).finally(() => void this.#running.delete(poolKey));
    this.#running.set(poolKey, removing);
    return removing;
  }

  /** Resolves when no removal of this pool is in progress, however it ended. */
  async settled(poolKey: string): Promise<void> {
    await this.#running.get(poolKey)?.catch(() => undefined);
  }

  async #remove(poolKey: string): Promise<void> {
    const { store, logs, queue, held } = this.#options;
    await held.find(poolKey)?.removeAll();
    held.forget(poolKey);
    if (await store.pools.removeUnused(poolKey)) {
      await logs.removePool(poolKey);
    } else {
      await store.pools.setWanted(poolKey, true);
      await store.pools.askRemoval(poolKey, false);
    }
    await announce(queue, TOPICS.changed, poolKey);
  }
}
