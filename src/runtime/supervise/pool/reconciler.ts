/**
 * One pass over one pool, from "the row says desired" to "the container runs":
 *
 *   read the rows; recover runtimes that only the rows know; reap those that failed
 *   decide: stop, keep serving, start, or wait for the back-off
 *   start: `pool-starts.ts`, `launch.ts`, then the engine
 *   keep serving: `rollout.ts` brings runtimes to their desired spec, `replicas.ts` to their desired number
 *
 * Guarantees: a pass compares the rows with the supervised runtimes and acts on the difference. It may fail anywhere; the
 * next one reads the rows again and goes on from there.
 */
import { Fault } from "../../../domain/fault.ts";
import type { Pool, RuntimeRecord } from "../../../domain/runtime.ts";
import { markInstallations } from "./crash-loop.ts";
import { isOutdated } from "./desired-spec.ts";
import { drain } from "./drain.ts";
import type { PoolContext } from "./pool-context.ts";
import { PoolStarts } from "./pool-starts.ts";
import { reap } from "./reap.ts";
import { recoverRuntime } from "./recover-runtime.ts";
import { Replicas } from "./replicas.ts";
import { Rollout } from "./rollout.ts";
import { isAsked } from "./start-requests.ts";
import type { SupervisedRuntime } from "./supervised-runtime.ts";

/** Number of newest rows whose ends count when this process takes the pool over. */
const ROWS = 20;

export class PoolReconciler {
  readonly #context: PoolContext;
  readonly #replicas: Replicas;
  readonly #starts: PoolStarts;
  readonly #rollout: Rollout;
  /** While the pool is removed, passes recover runtimes to end them, and start none. */
  isRemoving = false;
  #hasReadRows = false;

  constructor(context: PoolContext) {
    this.#context = context;
    this.#replicas = new Replicas(context);
    this.#starts = new PoolStarts(context);
    this.#rollout = new Rollout(context, { replicas: this.#replicas, starts: this.#starts });
  }

  /** The pool has no runtime, as far as this process knows. */
  get isEmpty(): boolean {
    const isStarting = this.#starts.isStarting || this.#replicas.startingId !== undefined;
    return this.#hasReadRows && this.#context.runtimes.all.length === 0 && !isStarting;
  }

  /** Whether the rows differ from what runs here, so that a pass has something to do. */
  isNeeded(pool: Pool, live: readonly RuntimeRecord[]): boolean {
    const { runtimes, restarts } = this.#context;
    const { haveEnded, areUncertain } = runtimes;
    if (!this.#hasReadRows || isAsked(pool) || haveEnded || areUncertain) return true;
    if (live.some((record) => record.id !== this.#replicas.startingId && runtimes.isUnseen(record)))
      return true;
    if (!pool.wanted || pool.state === "idle") return runtimes.isServing;
    if (runtimes.isServing)
      return pool.state !== "ready" || this.#rollout.isDue(pool) || this.#replicas.missing(pool) !== 0;
    if (this.#replicas.startingId !== undefined) return false;
    if (pool.state === "crash_loop") return true;
    return pool.state !== "backoff" || !restarts.isWaiting;
  }

  /** One pass. Throws what store or engine refused, and `lease_lost`. */
  async run(): Promise<void> {
    const { key, deps, restarts, requests } = this.#context;
    const { store } = deps;
    // A process that was suspended may have lost the lease without knowing.
    if (!deps.isHeld(key)) throw new Fault("lease_lost", "The lease of this pool has run out.");
    const startingId = this.#replicas.startingId;
    const [rows, live] = await Promise.all([
      store.runtimes.listOfPool(key, ROWS),
      store.runtimes.listLive(key),
    ]);
    restarts.seed(rows);
    await this.#observe(live.filter(({ id }) => id !== startingId));
    this.#hasReadRows = true;
    if (this.isRemoving) return;
    await this.#reapEnded();
    const pool = await store.pools.find(key);
    if (this.isRemoving) return;
    if (pool === undefined) requests.rejectAll(new Fault("not_found", "The pool is gone."));
    else await this.#decide(pool, rows[0]);
  }

  /** Aborts a start in progress. */
  abandonStart(reason: Error): void {
    this.#starts.abandon(reason);
    this.#replicas.abandonStart(reason);
  }

  /** As `abandonStart`, only of one that somebody asked for. */
  abandonExplicitStart(reason: unknown): void {
    this.#starts.abandonExplicit(reason);
  }

  get isStartingBeside(): boolean {
    return this.#replicas.startingId !== undefined;
  }

  /** Resolves when no start runs in the background. */
  settled(): Promise<void> {
    return this.#replicas.settled();
  }

  close(): void {
    this.#rollout.close();
  }

  /** Recovers runtimes that only the rows know, and drains those that the rows say are draining. */
  async #observe(live: readonly RuntimeRecord[]): Promise<void> {
    const context = this.#context;
    const recovery = {
      context,
      replicas: this.#replicas,
      starts: this.#starts,
      isRemoved: () => this.isRemoving,
    };
    // Those that serve first: a pass waits for a recovered start only where nothing serves.
    for (const record of live.toSorted((a, b) => Number(isStarting(a)) - Number(isStarting(b)))) {
      const runtime = context.runtimes.find(record.id);
      if (runtime === undefined) await recoverRuntime(recovery, record);
      else if (record.state === "draining" && !runtime.draining) drain(context, runtime, "retired");
    }
  }

  async #reapEnded(): Promise<void> {
    for (const runtime of this.#context.runtimes.all) {
      if (runtime.isEnding && !runtime.draining) await reap(this.#context, this.#replicas, runtime);
    }
  }

  async #decide(pool: Pool, newest: RuntimeRecord | undefined): Promise<void> {
    const { deps, restarts, requests } = this.#context;
    const isExplicit = requests.arePending(pool);
    const isDesired = pool.wanted && (pool.state !== "idle" || isExplicit);
    if (this.#context.runtimes.isServing && isDesired) return await this.#keepServing(pool);
    this.#rollout.done();
    if (!isDesired) return await this.#stopServing(pool);
    // A start is in progress already.
    if (this.#replicas.startingId !== undefined) return;
    const isChanged = newest !== undefined && isOutdated(deps, pool, newest);
    if (isExplicit || (pool.state === "crash_loop" && isChanged)) {
      restarts.resetHistory();
      this.#replicas.resetDelay();
    } else if (pool.state === "crash_loop") return;
    else if (pool.state === "backoff" && !restarts.isDue(pool)) return;
    await this.#starts.start(pool, { isExplicit, slot: this.#replicas.freeSlot });
  }

  async #keepServing(pool: Pool): Promise<void> {
    const { runtimes } = this.#context;
    // A keeper that died during a replacement left two in one slot.
    for (const runtime of runtimes.superseded) drain(this.#context, runtime, "replaced");
    const { serving } = runtimes;
    const toReplace = serving.find(({ live }) => live.record.generation < pool.generationMin);
    if (toReplace !== undefined) return await this.#rollout.replaceNow(pool, toReplace);
    const outdated = await this.#rollout.adjust(pool);
    if (outdated === "refused") return;
    const [first] = outdated;
    if (first !== undefined && pool.nextLimits !== undefined)
      return await this.#rollout.replaceNow(pool, first);
    const [newest] = serving;
    if (newest !== undefined) await this.#markReady(pool, newest);
    if (first === undefined) this.#rollout.done();
    else await this.#rollout.replace(pool, first);
    this.#replicas.fill(pool);
  }

  async #markReady(pool: Pool, runtime: SupervisedRuntime): Promise<void> {
    const { key, deps, restarts, requests } = this.#context;
    const { store } = deps;
    restarts.served();
    if (pool.state !== "ready") {
      await restarts.setState("ready");
      await markInstallations(store, key, { state: "ready", cause: undefined });
    }
    await requests.succeed(pool, runtime.live.record, (id) => store.runtimes.find(id));
  }

  async #stopServing(pool: Pool): Promise<void> {
    const { runtimes, restarts, requests } = this.#context;
    const reason = pool.wanted ? "idle" : "stopped";
    if (pool.state !== "idle") await restarts.setState("idle");
    const fault = new Fault("plugin_disabled", "The plugin is stopped.");
    await requests.fail(pool, fault);
    this.#replicas.abandonStart(fault);
    this.#replicas.reset();
    for (const runtime of runtimes.all) if (!runtime.draining) drain(this.#context, runtime, reason);
  }
}

function isStarting({ state }: RuntimeRecord): boolean {
  return state === "starting";
}
