/**
 * Supervises one pool while this process holds its lease: runs its passes (`reconciler.ts`) one at a time, and turns
 * what runners, engine and callers report into the next pass.
 *
 * Guarantees: events only ask for a pass, so a lost event costs time and never truth. A pass that fails is logged once,
 * and the next look at the rows runs it again. After `release` nothing of the pool is touched; its containers run on.
 */
import { Fault, toFault } from "../../../domain/fault.ts";
import type { RuntimeId } from "../../../domain/ids.ts";
import type { Pool, RuntimeRecord } from "../../../domain/runtime.ts";
import { exitOf } from "../../launch/exit-cause.ts";
import { announce, TOPICS } from "../../reach/announce.ts";
import { formatExit } from "../../reach/exit-message.ts";
import type { PoolContext } from "./pool-context.ts";
import { PoolReconciler } from "./reconciler.ts";
import { RestartPolicy } from "./restart-policy.ts";
import { StartRequests } from "./start-requests.ts";
import { SupervisedRuntimes } from "./supervised-runtimes.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

export class PoolSupervisor {
  readonly #context: PoolContext;
  readonly #released = new AbortController();
  readonly #reconciler: PoolReconciler;
  #running: Promise<void> | undefined;
  #isScheduled = false;
  #lastPassFailed = false;

  constructor(key: string, supervisorDeps: SupervisorDeps) {
    // For all parts below, giving up the pool is the same as the end of the process.
    const lifetime = AbortSignal.any([supervisorDeps.lifetime, this.#released.signal]);
    const deps = { ...supervisorDeps, lifetime };
    const scheduleReconcile = () => this.scheduleReconcile();
    this.#context = {
      key,
      deps,
      runtimes: new SupervisedRuntimes(),
      restarts: new RestartPolicy(key, deps, scheduleReconcile),
      requests: new StartRequests(deps),
      scheduleReconcile,
    };
    this.#reconciler = new PoolReconciler(this.#context);
  }

  get servingCount(): number {
    return this.#context.runtimes.serving.length;
  }

  get isServing(): boolean {
    return this.#context.runtimes.isServing;
  }

  get isEmpty(): boolean {
    return this.#reconciler.isEmpty;
  }

  /** Whether the rows differ from what runs here, so that a pass has something to do. */
  needsReconcile(pool: Pool, live: readonly RuntimeRecord[]): boolean {
    return this.#lastPassFailed || this.#reconciler.isNeeded(pool, live);
  }

  /** Asks for a pass; while one runs, for another after it. */
  scheduleReconcile(): void {
    if (this.#context.deps.lifetime.aborted) return;
    this.#isScheduled = true;
    this.#running ??= this.#runPasses().finally(() => {
      this.#running = undefined;
    });
  }

  /**
   * Starts the pool for an install, an upgrade or an operator, also one in back-off or a crash loop. Resolves with a
   * runtime that serves; rejects with the start's failure. When the last caller aborts, the start is abandoned.
   */
  ensureReady(onLog: (text: string) => void, signal: AbortSignal): Promise<RuntimeRecord> {
    const onGone = (reason: unknown) => this.#reconciler.abandonExplicitStart(reason);
    const ready = this.#context.requests.wait({ onLog, onGone }, signal);
    this.scheduleReconcile();
    return ready;
  }

  /** The runner reported that its plugin ended. */
  noteExit(id: RuntimeId): void {
    const runtime = this.#context.runtimes.find(id);
    if (runtime === undefined || runtime.draining) return;
    runtime.markFailed(undefined);
    this.scheduleReconcile();
  }

  /** The container may have ended: asks the engine, and fails the open calls of all processes with what it answers. */
  async noteDied(id: RuntimeId): Promise<void> {
    const { deps, runtimes } = this.#context;
    const runtime = runtimes.find(id);
    // One that Berth ended for its health was announced already, with a better reason.
    if (runtime === undefined || runtime.isHung) return;
    const state = await deps.engine.findContainer(runtime.live.containerId, deps.lifetime);
    if (state?.phase === "running") return;
    const exit = exitOf(undefined, state);
    deps.links.noteExit(id, exit);
    void announce(deps.queue, TOPICS.exited, formatExit({ id, exit }));
    this.noteExit(id);
  }

  /** The kernel killed a process in it for memory: the rest of the container cannot be trusted. */
  noteOom(id: RuntimeId, containerId: string): void {
    const runtime = this.#context.runtimes.find(id);
    if (runtime === undefined || runtime.draining || runtime.live.containerId !== containerId) return;
    runtime.markFailed("oom");
    this.scheduleReconcile();
  }

  /** Runtimes that should run and whose container is not among these. */
  missingFrom(running: ReadonlySet<string>): readonly RuntimeId[] {
    return this.#context.runtimes.missingFrom(running);
  }

  /** Aborts a start in progress. */
  abandonStart(reason: Error): void {
    this.#reconciler.abandonStart(reason);
  }

  /** Ends every runtime of the pool at once; nothing starts afterwards. Throws what the engine refused. */
  async removeAll(): Promise<void> {
    this.#reconciler.isRemoving = true;
    this.abandonStart(new Error("the pool is being removed"));
    // One more pass even where none is due: it finds what an earlier keeper left.
    this.scheduleReconcile();
    await this.settled();
    try {
      await Promise.all(this.#context.runtimes.all.map((runtime) => runtime.end("stopped")));
    } catch (error) {
      // An install that needs the pool meanwhile does not wait for an engine that does not answer.
      this.#reconciler.isRemoving = false;
      throw error;
    }
    this.release(new Fault("lease_lost", "The pool was removed."));
  }

  /** Gives up the pool: its containers run on unsupervised. */
  release(reason: Error): void {
    const { restarts, runtimes, requests } = this.#context;
    this.#released.abort(reason);
    restarts.stop();
    this.#reconciler.close();
    for (const runtime of runtimes.all) runtime.release();
    requests.rejectAll(reason);
  }

  /** Resolves when no pass and no start is running; after `release`, when this process has stopped reading the logs. */
  async settled(): Promise<void> {
    while (this.#running !== undefined || this.#reconciler.isStartingBeside) {
      await this.#running;
      await this.#reconciler.settled();
    }
    if (this.#released.signal.aborted) await this.#context.deps.logs.stopPool(this.#context.key);
  }

  async #runPasses(): Promise<void> {
    const { key, deps, requests } = this.#context;
    while (this.#isScheduled && !deps.lifetime.aborted) {
      this.#isScheduled = false;
      try {
        await this.#reconciler.run();
        this.#lastPassFailed = false;
      } catch (error) {
        if (deps.lifetime.aborted) return;
        const { code } = toFault(error);
        // Requests in the row stay there for the next pass.
        requests.rejectAll(error);
        if (!this.#lastPassFailed)
          deps.log.error({ op: "pool.turn", ok: false, pool: key, code, err: error });
        this.#lastPassFailed = true;
        return;
      }
    }
  }
}
