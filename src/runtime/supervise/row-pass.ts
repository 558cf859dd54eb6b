/**
 * Compares the rows of all pools with what this process supervises: claims leases, asks for passes, stops idle pools,
 * removes pools that nobody needs, and closes links of runtimes whose row has ended. It runs on a timer, and early when a
 * pool is announced.
 */
import { Fault } from "../../domain/fault.ts";
import type { Pool, RuntimeRecord } from "../../domain/runtime.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import type { RuntimeLinks } from "../reach/runtime-links.ts";
import type { HeldPools } from "./held-pools.ts";
import type { PoolSupervisor } from "./pool/supervisor.ts";

export interface RowPassOptions {
  readonly store: Pick<Store, "pools" | "runtimes">;
  readonly links: RuntimeLinks;
  readonly clock: Clock;
  readonly idleStopMs: number | undefined;
  readonly held: HeldPools;
  /** Starts the removal and does not wait for it. */
  readonly remove: (poolKey: string) => void;
}

export class RowPass {
  readonly #options: RowPassOptions;
  readonly #usedAt = new Map<string, number>();
  #pluginOf: ReadonlyMap<string, string> = new Map();

  constructor(options: RowPassOptions) {
    this.#options = options;
  }

  /** Plugin of a pool that was there at the last pass. */
  pluginOf(poolKey: string): string | undefined {
    return this.#pluginOf.get(poolKey);
  }

  /** A call used this pool: its idle time starts again. */
  noteUsed(poolKey: string): void {
    this.#usedAt.set(poolKey, this.#options.clock.now());
  }

  forgetUse(poolKey: string): void {
    this.#usedAt.delete(poolKey);
  }

  async run(): Promise<void> {
    const { store, links, held } = this.#options;
    await held.renew();
    const linked = links.ids();
    // Only a pool that was held before the rows were read can be gone: others may be made, and started, meanwhile.
    const before = held.all;
    const [pools, live] = await Promise.all([store.pools.list(), store.runtimes.listLive()]);
    const alive = new Set(live.map(({ id }) => id));
    await Promise.all(linked.filter((id) => !alive.has(id)).map((id) => links.close(id)));
    const byPool = Map.groupBy(live, ({ poolKey }) => poolKey);
    for (const pool of pools) await this.#reconcile(pool, byPool.get(pool.key) ?? []);
    this.#pluginOf = new Map(pools.map(({ key, pluginId }) => [key, pluginId]));
    for (const [key, supervisor] of before) {
      if (this.#pluginOf.has(key) || held.find(key) !== supervisor) continue;
      held.forget(key);
      supervisor.release(new Error("the pool is gone"));
    }
  }

  async #reconcile(pool: Pool, live: readonly RuntimeRecord[]): Promise<void> {
    const { store, held, remove } = this.#options;
    const isAsked = pool.wanted || pool.removalAsked || pool.retiring;
    const isNeeded = isAsked || live.length > 0 || held.find(pool.key) !== undefined;
    const supervisor = isNeeded ? await held.hold(pool.key) : undefined;
    if (supervisor === undefined) return;
    if (!pool.wanted)
      supervisor.abandonStart(
        new Fault("cancelled", "The plugin is not needed any more; its start was cancelled."),
      );
    const hasRetired = pool.retiring && live.length === 0 && supervisor.isEmpty;
    if (pool.removalAsked || hasRetired) remove(pool.key);
    if (this.#isIdle(pool, supervisor)) {
      await store.pools.setState(pool.key, { state: "idle", cause: undefined, nextStartAt: undefined });
      supervisor.scheduleReconcile();
    } else if (supervisor.needsReconcile(pool, live)) supervisor.scheduleReconcile();
  }

  #isIdle(pool: Pool, supervisor: PoolSupervisor): boolean {
    const { clock, idleStopMs } = this.#options;
    if (idleStopMs === undefined || pool.state !== "ready" || !supervisor.isServing) return false;
    const usedAt = this.#usedAt.get(pool.key);
    if (usedAt === undefined) this.#usedAt.set(pool.key, clock.now());
    return usedAt !== undefined && clock.now() - usedAt >= idleStopMs;
  }
}
