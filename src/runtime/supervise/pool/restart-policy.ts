/**
 * The restart policy of one pool: after each failure it starts now, backs off, or gives up (`crash_loop`), and writes
 * that into the pool's row. Ends that Berth, an operator or a tenant asked for are no failures.
 */
import { Fault, formatFault, isFault, toFault } from "../../../domain/fault.ts";
import type { RuntimeId } from "../../../domain/ids.ts";
import type { Pool, RuntimeAction, RuntimeEnd, RuntimeRecord } from "../../../domain/runtime.ts";
import { backoffMs } from "../../../util/backoff.ts";
import type { EndedRuntime } from "../../launch/exit-cause.ts";
import { announce, TOPICS } from "../../reach/announce.ts";
import { CrashHistory, type CrashVerdict } from "./crash-history.ts";
import { causeOf, markInstallations, servesAnybody } from "./crash-loop.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

/** Reasons that blame the plugin: they count towards a crash loop. */
const BLAMES_PLUGIN: readonly RuntimeEnd["reason"][] = ["crashed", "oom", "unhealthy", "start_failed"];
/** Reasons that somebody asked for: they end a series of failures. */
const ON_PURPOSE: readonly RuntimeEnd["reason"][] = ["replaced", "retired", "idle", "scaled_in", "stopped"];

export function isOnPurpose({ reason }: RuntimeEnd): boolean {
  return ON_PURPOSE.includes(reason);
}

export class RestartPolicy {
  readonly #key: string;
  readonly #deps: SupervisorDeps;
  readonly #scheduleReconcile: () => void;
  readonly #history: CrashHistory;
  #timer: AbortController | undefined;
  #isSeeded = false;
  /** Starts in a row that failed for a reason that may pass by itself. */
  #interruptions = 0;
  /** Failed starts in a row beside runtimes that serve, for any reason. */
  #failedBeside = 0;

  constructor(key: string, deps: SupervisorDeps, scheduleReconcile: () => void) {
    this.#key = key;
    this.#deps = deps;
    this.#scheduleReconcile = scheduleReconcile;
    this.#history = new CrashHistory(deps.supervision);
  }

  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /** Counts the ends that earlier keepers saw, back to the last one on purpose. Only the first call counts. */
  seed(rows: readonly RuntimeRecord[]): void {
    if (this.#isSeeded) return;
    this.#isSeeded = true;
    const ended = rows.filter(({ state }) => state === "ended");
    const clean = ended.findIndex(({ end }) => end !== undefined && isOnPurpose(end));
    for (const record of ended.slice(0, clean < 0 ? undefined : clean).reverse()) {
      this.#history.note({
        at: record.endedAt?.getTime() ?? 0,
        healthyForMs: this.healthyFor(record),
        isPluginFault: record.end === undefined || BLAMES_PLUGIN.includes(record.end.reason),
      });
    }
  }

  healthyFor({ readyAt, endedAt }: RuntimeRecord): number {
    if (readyAt === undefined) return 0;
    return (endedAt?.getTime() ?? this.#deps.clock.now()) - readyAt.getTime();
  }

  resetHistory(): void {
    this.#history.reset();
    this.#interruptions = 0;
  }

  /** A runtime serves: a series of interrupted starts is over. */
  served(): void {
    this.#interruptions = 0;
  }

  async setState(state: Pool["state"], fault?: Fault): Promise<void> {
    const cause = fault === undefined ? undefined : formatFault(fault);
    await this.#write({ state, cause, nextStartAt: undefined });
  }

  /**
   * Counts the failure and writes the decision: `starting`, `backoff` or `crash_loop`. Answers the milliseconds until
   * the next start; undefined when the pool is given up.
   */
  async failed(failure: EndedRuntime | Fault, healthyForMs: number): Promise<number | undefined> {
    const { store, supervision, log } = this.#deps;
    const verdict = this.#judge(failure, healthyForMs);
    switch (verdict.verdict) {
      case "now":
        await this.#noteAction(failure, { kind: "start_now" });
        await this.setState("starting");
        return 0;
      case "wait":
        await this.#noteAction(failure, { kind: "start_later", delayMs: verdict.delayMs });
        await this.backOff(failure, verdict.delayMs);
        return verdict.delayMs;
      case "give_up": {
        const { crashes } = verdict;
        await this.#noteAction(failure, { kind: "give_up" });
        const cause = causeOf(failure, { crashes, windowMs: supervision.crashWindowMs });
        await this.#write({ state: "crash_loop", cause, nextStartAt: undefined });
        await markInstallations(store, this.#key, { state: "crash_loop", cause });
        log.error({ op: "pool.crash_loop", ok: false, pool: this.#key, code: cause.code, crashes });
        return undefined;
      }
      default:
        return verdict satisfies never;
    }
  }

  /**
   * A runtime ended while others serve: the pool's state stays. The end counts, because the end of the last one that
   * serves is judged by all of them. Answers the milliseconds until the next start.
   */
  async endedBeside(ended: EndedRuntime, healthyForMs: number): Promise<number> {
    const verdict = this.#judge(ended, healthyForMs);
    const isNow = verdict.verdict === "now";
    const delayMs = verdict.verdict === "wait" ? verdict.delayMs : this.#deps.supervision.backoffMaxMs;
    await this.#noteAction(ended, isNow ? { kind: "start_now" } : { kind: "start_later", delayMs });
    return isNow ? 0 : delayMs;
  }

  /** A start failed while others serve: that does not count against those. Answers the milliseconds until the next start. */
  startFailedBeside(): number {
    this.#failedBeside += 1;
    const { backoffFirstMs: firstMs, backoffMaxMs: maxMs } = this.#deps.supervision;
    return backoffMs(this.#failedBeside, { firstMs, maxMs });
  }

  startedBeside(): void {
    this.#failedBeside = 0;
  }

  #judge(failure: EndedRuntime | Fault, healthyForMs: number): CrashVerdict {
    const isPluginFault = isFault(failure) || BLAMES_PLUGIN.includes(failure.end.reason);
    return this.#history.note({ at: this.#deps.clock.now(), healthyForMs, isPluginFault });
  }

  /** The installer handles a first start that fails; every other failed start is a failure of the pool. */
  async startFailed(
    error: unknown,
    { isExplicit, isAbandoned, pool }: { isExplicit: boolean; isAbandoned: boolean; pool: Pool | undefined },
  ): Promise<void> {
    const { store, supervision, onImageMissing } = this.#deps;
    const fault = toFault(error);
    const isForOthers = await servesAnybody(store, this.#key);
    if (isAbandoned) await this.setState(isForOthers ? "starting" : "idle");
    else if (fault.code === "image_missing" && pool !== undefined) {
      await this.setState("idle", fault);
      await onImageMissing(pool);
    } else if (isExplicit && !isForOthers) await this.setState("idle", fault);
    else if (fault.rule.backOff) {
      this.#interruptions += 1;
      const { backoffFirstMs: firstMs, backoffMaxMs: maxMs } = supervision;
      const delayMs = backoffMs(this.#interruptions, { firstMs, maxMs });
      await this.#noteAction(fault, { kind: "start_later", delayMs });
      await this.backOff(fault, delayMs);
    } else await this.failed(fault, 0);
  }

  /** Writes a missed check into the row of a pool that serves. `why` undefined: healthy again. `because`: why the miss does not count. */
  showHealth(runtime: RuntimeId, why: string | undefined, because?: string): void {
    const { log } = this.#deps;
    log.warn({ op: "runtime.health", ok: why === undefined, runtime, pool: this.#key, why, because });
    const waits = because === undefined ? "" : ` It is not replaced yet, because ${because}.`;
    const fault =
      why === undefined
        ? undefined
        : new Fault("plugin_not_ready", `The runtime is unhealthy: ${why}.${waits}`);
    this.setState("ready", fault).catch((error: unknown) =>
      log.warn({ op: "runtime.health", ok: false, runtime, err: toFault(error) }),
    );
  }

  async backOff(failure: EndedRuntime | Fault, delayMs: number): Promise<void> {
    const nextStartAt = new Date(this.#deps.clock.now() + delayMs);
    await this.#write({ state: "backoff", cause: causeOf(failure), nextStartAt });
    this.#scheduleAt(nextStartAt);
  }

  /** Whether a pool in back-off may start now. If not, a pass is scheduled for when it may. */
  isDue({ nextStartAt }: Pool): boolean {
    const { clock, supervision } = this.#deps;
    const waitMs = nextStartAt === undefined ? 0 : nextStartAt.getTime() - clock.now();
    // No back-off is that long: the clock was set back, which would turn a minute's wait into an hour.
    if (waitMs <= 0 || waitMs > supervision.backoffMaxMs) return true;
    if (this.#timer === undefined && nextStartAt !== undefined) this.#scheduleAt(nextStartAt);
    return false;
  }

  stop(): void {
    this.#timer?.abort();
    this.#timer = undefined;
  }

  #scheduleAt(at: Date): void {
    this.#timer?.abort();
    const timer = new AbortController();
    this.#timer = timer;
    const { clock, lifetime } = this.#deps;
    clock.sleep(Math.max(0, at.getTime() - clock.now()), AbortSignal.any([timer.signal, lifetime])).then(
      () => {
        if (this.#timer === timer) this.#timer = undefined;
        this.#scheduleReconcile();
      },
      () => undefined,
    );
  }

  async #noteAction(failure: EndedRuntime | Fault, action: RuntimeAction): Promise<void> {
    const { runtimes } = this.#deps.store;
    // the newest row is that of the start that failed
    const id = isFault(failure) ? (await runtimes.listOfPool(this.#key, 1))[0]?.id : failure.id;
    if (id !== undefined) await runtimes.noteAction(id, action);
  }

  async #write(state: Pick<Pool, "state" | "cause" | "nextStartAt">): Promise<void> {
    await this.#deps.store.pools.setState(this.#key, state);
    void announce(this.#deps.queue, TOPICS.changed, this.#key);
  }
}
