import { type Fault, toFault } from "../../../domain/fault.ts";
import type { Pool, RuntimeRecord } from "../../../domain/runtime.ts";
import type { EndedRuntime } from "../../launch/exit-cause.ts";
import { type LiveRuntime, launch } from "../../launch/launch.ts";
import { newRuntimeId } from "../../launch/profile.ts";
import { desiredSpec, replicasOf } from "./desired-spec.ts";
import { ReplicaCount } from "./replica-count.ts";
import type { RestartPolicy } from "./restart-policy.ts";
import { SideStart } from "./side-start.ts";
import type { SupervisedRuntime } from "./supervised-runtime.ts";
import type { SupervisedRuntimes } from "./supervised-runtimes.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

export interface ReplicasOptions {
  readonly poolKey: string;
  readonly deps: SupervisorDeps;
  readonly members: SupervisedRuntimes;
  readonly restarts: RestartPolicy;
  /** One more serves. */
  readonly admit: (live: LiveRuntime) => void;
  readonly drain: (member: SupervisedRuntime) => void;
  /** Asks for a turn of the Pool. */
  readonly wake: () => void;
}

/** Keeps as many Runtimes beside the first one that serves as the Pool is to have now. */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #count: ReplicaCount;
  readonly #side: SideStart;
  #notBefore = 0;

  constructor(options: ReplicasOptions) {
    this.#options = options;
    const { poolKey, deps, members, wake } = options;
    this.#side = new SideStart(wake);
    this.#count = new ReplicaCount({
      ...{ ...deps, poolKey, settings: deps.supervision.scaling },
      serving: () => members.serving,
      onChange: wake,
    });
  }

  /** The one that is being started; its row is nobody else's to deal with. */
  get startingId(): RuntimeRecord["id"] | undefined {
    return this.#side.id;
  }

  /** The first place where none takes calls. */
  get freeSlot(): number {
    const { slots } = this.#options.members;
    let slot = 0;
    while (slots.has(slot)) slot += 1;
    return slot;
  }

  /** How many are to be started now, or, below zero, are too many. */
  missing(pool: Pool): number {
    const { members, deps } = this.#options;
    const missing = this.#count.within(replicasOf(pool, deps.supervision)) - members.slots.size;
    if (missing <= 0) return missing;
    return this.#side.id === undefined && this.#isDue ? missing : 0;
  }

  get #isDue(): boolean {
    return this.#options.deps.clock.elapsed() >= this.#notBefore;
  }

  /** The Pool serves: starts one more where there are too few, lets go of those in the last places where too many. */
  fill(pool: Pool): void {
    const { members, deps, drain } = this.#options;
    const { slots } = members;
    const isOneMore = this.#side.slot !== undefined && !slots.has(this.#side.slot);
    const present = slots.size + (isOneMore ? 1 : 0);
    this.#count.serves(replicasOf(pool, deps.supervision), present);
    const missing = this.missing(pool);
    const places = [...members.slots].sort((a, b) => a - b);
    const surplus = new Set(missing < 0 ? places.slice(missing) : []);
    for (const member of members.serving) if (surplus.has(member.slot)) drain(member);
    if (missing <= 0) return;
    const [id, slot] = [newRuntimeId(), this.freeSlot];
    const onLog = () => undefined;
    this.startBeside({ id, slot }, (signal) =>
      launch(deps, { pool: desiredSpec(pool), slot, id, onLog }, signal),
    );
  }

  /** Nobody waits for it. */
  startBeside(
    { id, slot }: Pick<RuntimeRecord, "id" | "slot">,
    start: (signal: AbortSignal) => Promise<LiveRuntime>,
  ): void {
    const { restarts, admit, poolKey } = this.#options;
    const { lifetime, log } = this.#options.deps;
    const run = async (signal: AbortSignal): Promise<void> => {
      try {
        admit(await start(AbortSignal.any([signal, lifetime])));
        restarts.startedBeside();
      } catch (error) {
        if (lifetime.aborted || signal.aborted) return;
        const err = toFault(error);
        this.#wait({ code: err.code, err }, restarts.startFailedBeside());
      }
    };
    const onError = (err: unknown) =>
      log.error({ op: "pool.replica", ok: false, pool: poolKey, err: toFault(err) });
    this.#side.begin({ id, slot, run: (signal) => run(signal).catch(onError) });
  }

  /** One ended while others serve. */
  async noteEnd(ended: EndedRuntime, healthyForMs: number): Promise<void> {
    const delayMs = await this.#options.restarts.endedBeside(ended, healthyForMs);
    this.#wait({ code: ended.end.reason }, delayMs);
  }

  /** The last one that served ended, too: no other one comes sooner than the Pool's own next start. */
  holdBack(delayMs: number): void {
    this.#notBefore = this.#options.deps.clock.elapsed() + delayMs;
  }

  /** Somebody asked for what starts next: it waits for nothing. */
  resetDelay(): void {
    this.#notBefore = 0;
  }

  abandonStart(reason: Error): void {
    this.#side.abandon(reason);
  }

  /** Resolves when no start is under way. */
  settled(): Promise<void> {
    return this.#side.settled();
  }

  /** The Pool stops: it begins anew with as few as it may have. */
  reset(): void {
    this.#count.reset();
  }

  /** Fewer serve than are wanted: the Pool goes on with those. */
  #wait(why: { readonly code: string; readonly err?: Fault }, delayMs: number): void {
    const { poolKey, deps } = this.#options;
    this.#notBefore = deps.clock.elapsed() + delayMs;
    deps.log.warn({ op: "pool.replica", ok: false, pool: poolKey, ...why, next_start_ms: delayMs });
  }
}
