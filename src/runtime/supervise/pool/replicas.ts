import { type Fault, toFault } from "../../../domain/fault.ts";
import type { Pool, RuntimeRecord } from "../../../domain/runtime.ts";
import type { EndedRuntime } from "../../launch/exit-cause.ts";
import { type LiveRuntime, launch } from "../../launch/launch.ts";
import { newRuntimeId } from "../../launch/profile.ts";
import { admit } from "./admit.ts";
import { desiredSpec, replicasOf } from "./desired-spec.ts";
import { drain } from "./drain.ts";
import type { PoolContext } from "./pool-context.ts";
import { ReplicaCount } from "./replica-count.ts";
import { SideStart } from "./side-start.ts";

/**
 * Keeps as many runtimes beside the first one that serves as the pool is to have now. Starts run in the background, one
 * at a time: no pass waits for them. A start that fails leaves those that serve alone and is tried again after a delay.
 */
export class Replicas {
  readonly #context: PoolContext;
  readonly #count: ReplicaCount;
  readonly #side: SideStart;
  /** By the monotonic clock, in milliseconds: no start before then. */
  #notBefore = 0;

  constructor(context: PoolContext) {
    this.#context = context;
    const { key, deps, runtimes, scheduleReconcile } = context;
    this.#side = new SideStart(scheduleReconcile);
    this.#count = new ReplicaCount({
      ...deps,
      poolKey: key,
      settings: deps.supervision.scaling,
      serving: () => runtimes.serving,
      onChange: scheduleReconcile,
    });
  }

  /** The one that is starting; nothing else may touch its row. */
  get startingId(): RuntimeRecord["id"] | undefined {
    return this.#side.id;
  }

  /** The first slot in which none takes calls. */
  get freeSlot(): number {
    const { slots } = this.#context.runtimes;
    let slot = 0;
    while (slots.has(slot)) slot += 1;
    return slot;
  }

  /** How many to start now; below zero, how many are too many. */
  missing(pool: Pool): number {
    const { runtimes, deps } = this.#context;
    const missing = this.#count.within(replicasOf(pool, deps.supervision)) - runtimes.slots.size;
    if (missing <= 0) return missing;
    // One that ended during the pass is counted by the next pass, which decides when its successor starts.
    const mayStart = this.#side.id === undefined && this.#isDue && !runtimes.haveEnded;
    return mayStart ? missing : 0;
  }

  get #isDue(): boolean {
    return this.#context.deps.clock.elapsed() >= this.#notBefore;
  }

  /** The pool serves: starts one more where there are too few, drains those in the last slots where there are too many. */
  fill(pool: Pool): void {
    const { runtimes, deps } = this.#context;
    const { slots } = runtimes;
    const isOneMore = this.#side.slot !== undefined && !slots.has(this.#side.slot);
    const present = slots.size + (isOneMore ? 1 : 0);
    this.#count.serves(replicasOf(pool, deps.supervision), present);
    const missing = this.missing(pool);
    const inOrder = [...runtimes.slots].sort((a, b) => a - b);
    const surplus = new Set(missing < 0 ? inOrder.slice(missing) : []);
    for (const runtime of runtimes.serving)
      if (surplus.has(runtime.slot)) drain(this.#context, runtime, "scaled_in");
    if (missing <= 0) return;
    const [id, slot] = [newRuntimeId(), this.freeSlot];
    const onLog = () => undefined;
    this.startBeside({ id, slot }, (signal) =>
      launch(deps, { pool: desiredSpec(pool), slot, id, onLog }, signal),
    );
  }

  /** Runs a start, or the rest of one, in the background; its failure is logged. */
  startBeside(
    { id, slot }: Pick<RuntimeRecord, "id" | "slot">,
    start: (signal: AbortSignal) => Promise<LiveRuntime>,
  ): void {
    const { key, deps, restarts } = this.#context;
    const { lifetime, log } = deps;
    const run = async (signal: AbortSignal): Promise<void> => {
      try {
        admit(this.#context, await start(AbortSignal.any([signal, lifetime])));
        restarts.startedBeside();
      } catch (error) {
        if (lifetime.aborted || signal.aborted) return;
        const err = toFault(error);
        this.#delay({ code: err.code, err }, restarts.startFailedBeside());
      }
    };
    const onError = (err: unknown) =>
      log.error({ op: "pool.replica", ok: false, pool: key, err: toFault(err) });
    this.#side.begin({ id, slot, run: (signal) => run(signal).catch(onError) });
  }

  /** One ended while others serve. */
  async noteEnd(ended: EndedRuntime, healthyForMs: number): Promise<void> {
    const delayMs = await this.#context.restarts.endedBeside(ended, healthyForMs);
    this.#delay({ code: ended.end.reason }, delayMs);
  }

  /** The last one that served ended, too: no other one starts sooner than the pool's own next start. */
  holdBack(delayMs: number): void {
    this.#notBefore = this.#context.deps.clock.elapsed() + delayMs;
  }

  /** Somebody asked for the next start: it has no delay. */
  resetDelay(): void {
    this.#notBefore = 0;
  }

  abandonStart(reason: Error): void {
    this.#side.abandon(reason);
  }

  /** Resolves when no start is running. */
  settled(): Promise<void> {
    return this.#side.settled();
  }

  /** The pool stops: it starts again with its minimum. */
  reset(): void {
    this.#count.reset();
  }

  /** The pool goes on with fewer than desired. */
  #delay(why: { readonly code: string; readonly err?: Fault }, delayMs: number): void {
    const { key, deps } = this.#context;
    this.#notBefore = deps.clock.elapsed() + delayMs;
    deps.log.warn({ op: "pool.replica", ok: false, pool: key, ...why, next_start_ms: delayMs });
  }
}
