/**
 * Brings what serves to its desired spec. A runtime that needs another container serves until its replacement is ready,
 * and a replacement that fails leaves it serving. Unasked, one runtime at a time is replaced over all pools of this
 * process; one that somebody asked for is replaced at once. Limits that the engine can change in a running container
 * are changed there.
 */
import { Fault, isFault, toFault } from "../../../domain/fault.ts";
import type { Pool } from "../../../domain/runtime.ts";
import { type LimitsStep, stepTo } from "./desired-spec.ts";
import { drain } from "./drain.ts";
import { applyLive, reconcileReservations } from "./live-limits.ts";
import type { PoolContext } from "./pool-context.ts";
import type { PoolStarts } from "./pool-starts.ts";
import type { Replicas } from "./replicas.ts";
import { RolloutTurn } from "./rollout-turn.ts";
import type { SupervisedRuntime } from "./supervised-runtime.ts";

export class Rollout {
  readonly #context: PoolContext;
  readonly #replicas: Replicas;
  readonly #starts: PoolStarts;
  readonly #turn: RolloutTurn;
  /** By the monotonic clock, in milliseconds: after a failure nothing is changed unasked before then. */
  #notBefore = 0;

  constructor(context: PoolContext, { replicas, starts }: { replicas: Replicas; starts: PoolStarts }) {
    this.#context = context;
    this.#replicas = replicas;
    this.#starts = starts;
    this.#turn = new RolloutTurn(context.deps.rollout, context.scheduleReconcile);
  }

  /** Something serves under another spec than desired, and no failure is too recent to try again. */
  isDue(pool: Pool): boolean {
    const { deps, runtimes } = this.#context;
    if (deps.clock.elapsed() < this.#notBefore) return false;
    return this.#inNeedOf("none", pool).length < runtimes.serving.length;
  }

  /**
   * Changes the limits of running containers where the engine can. Answers those that need another container, or
   * `refused` where there was no room for limits that somebody asked for: those that asked have the answer then.
   */
  async adjust(pool: Pool): Promise<readonly SupervisedRuntime[] | "refused"> {
    const { key, deps, runtimes, requests, scheduleReconcile } = this.#context;
    await reconcileReservations(deps, runtimes.serving);
    const outdated = this.#inNeedOf("rolling", pool);
    const changing = this.#inNeedOf("live", pool);
    const isAsked = pool.nextLimits !== undefined;
    const isDue = isAsked || deps.clock.elapsed() >= this.#notBefore;
    if (changing.length === 0 || !isDue) return outdated;
    try {
      return [...outdated, ...(await applyLive(deps, pool, changing))];
    } catch (error) {
      if (!isFault(error, "host_full") && !isFault(error, "quota_memory")) throw error;
      if (isAsked) {
        await requests.fail(pool, error);
        scheduleReconcile();
        return "refused";
      }
      this.#backOff();
      deps.log.warn({ op: "runtime.limits", ok: false, pool: key, code: error.code });
      return outdated;
    }
  }

  /** Replaces it when it is this pool's turn; does nothing before. A failure is logged and tried again later. */
  async replace(pool: Pool, old: SupervisedRuntime): Promise<void> {
    // A pool that cannot use its turn now leaves it to another.
    if (!this.isDue(pool) || this.#replicas.startingId !== undefined) return this.done();
    if (!this.#turn.take()) return;
    const { key, deps } = this.#context;
    try {
      await this.#launchBeside(pool, old);
    } catch (error) {
      if (deps.lifetime.aborted) throw error;
      this.#backOff();
      deps.log.warn({ op: "pool.replace", ok: false, pool: key, code: toFault(error).code });
    } finally {
      this.done();
    }
  }

  /** Replaces it now, because somebody asked: a failure is their answer. */
  async replaceNow(pool: Pool, old: SupervisedRuntime): Promise<void> {
    const { deps, requests, scheduleReconcile } = this.#context;
    this.#replicas.abandonStart(new Fault("cancelled", "The plugin's containers are being replaced."));
    await this.#replicas.settled();
    this.#replicas.resetDelay();
    try {
      await this.#launchBeside(pool, old);
    } catch (error) {
      if (deps.lifetime.aborted) throw error;
      await requests.fail(pool, error);
    }
    scheduleReconcile();
  }

  /** Gives the turn among all pools back, if this pool has it. */
  done(): void {
    this.#turn.done();
  }

  close(): void {
    this.#turn.close();
  }

  async #launchBeside(pool: Pool, old: SupervisedRuntime): Promise<void> {
    await this.#starts.startReplacement(pool, old.slot);
    drain(this.#context, old, "replaced");
  }

  #backOff(): void {
    const { clock, supervision } = this.#context.deps;
    this.#notBefore = clock.elapsed() + supervision.backoffMaxMs;
  }

  #inNeedOf(step: LimitsStep, pool: Pool): readonly SupervisedRuntime[] {
    const { deps, runtimes } = this.#context;
    return runtimes.serving.filter(
      ({ live: { record }, resources }) => stepTo(deps, pool, { record, resources }) === step,
    );
  }
}
