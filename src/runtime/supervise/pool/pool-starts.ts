/**
 * Starts the pool's first runtime, or a replacement, as part of a pass: one at a time, and the pass waits for it. (More
 * runtimes beside those that serve start in the background: `replicas.ts`.) A start that fails is undone by `launch`;
 * here the restart policy decides what follows, and all that asked for the start get the failure.
 */
import type { Pool } from "../../../domain/runtime.ts";
import { type LiveRuntime, launch } from "../../launch/launch.ts";
import { admit } from "./admit.ts";
import { desiredSpec } from "./desired-spec.ts";
import type { PoolContext } from "./pool-context.ts";

export interface StartAttempt {
  /** Somebody asked for this start: a first start that fails is theirs to handle, not a crash of the pool. */
  readonly isExplicit: boolean;
  readonly pool: Pool | undefined;
}

export class PoolStarts {
  readonly #context: PoolContext;
  #current: { readonly abort: AbortController; readonly isExplicit: boolean } | undefined;

  constructor(context: PoolContext) {
    this.#context = context;
  }

  get isStarting(): boolean {
    return this.#current !== undefined;
  }

  /** Launches a runtime in this slot. Resolves when it serves or the failure is written down. Throws as `attempt`. */
  async start(pool: Pool, { isExplicit, slot }: { isExplicit: boolean; slot: number }): Promise<void> {
    await this.#context.restarts.setState("starting");
    await this.attempt({ isExplicit, pool }, (signal) => this.#launch(pool, slot, signal));
  }

  /** Runs a start, or the rest of one that an earlier keeper began. A failed start is not thrown. Throws when `lifetime` aborts, and what the store refuses. */
  async attempt(
    { isExplicit, pool }: StartAttempt,
    start: (signal: AbortSignal) => Promise<LiveRuntime>,
  ): Promise<void> {
    const { deps, restarts, requests, scheduleReconcile } = this.#context;
    const current = { abort: new AbortController(), isExplicit };
    this.#current = current;
    try {
      admit(this.#context, await start(AbortSignal.any([current.abort.signal, deps.lifetime])));
      scheduleReconcile();
    } catch (error) {
      if (deps.lifetime.aborted) throw error;
      const isAbandoned = current.abort.signal.aborted;
      await restarts.startFailed(error, { isExplicit, isAbandoned, pool });
      await requests.fail(pool, error);
      scheduleReconcile();
    } finally {
      this.#current = undefined;
    }
  }

  /** Launches the runtime that is to take over this slot. Throws what `launch` throws; the old one is not touched. */
  async startReplacement(pool: Pool, slot: number): Promise<void> {
    const current = { abort: new AbortController(), isExplicit: false };
    this.#current = current;
    try {
      const signal = AbortSignal.any([current.abort.signal, this.#context.deps.lifetime]);
      admit(this.#context, await this.#launch(pool, slot, signal));
    } finally {
      this.#current = undefined;
    }
  }

  abandon(reason: unknown): void {
    this.#current?.abort.abort(reason);
  }

  /** As `abandon`, of a start that somebody asked for. */
  abandonExplicit(reason: unknown): void {
    if (this.#current?.isExplicit) this.#current.abort.abort(reason);
  }

  #launch(pool: Pool, slot: number, signal: AbortSignal): Promise<LiveRuntime> {
    const { deps, requests } = this.#context;
    const onLog = (text: string) => requests.writeLog(text);
    return launch(deps, { pool: desiredSpec(pool), slot, onLog }, signal);
  }
}
