/** What becomes of a Pool after a failure: its state in the row, the wait before the next start, the end of trying. */
import { Fault, formatFault, toFault } from "../../domain/fault.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { Pool, RuntimeEnd, RuntimeRecord } from "../../domain/runtime.ts";
import { announce, TOPICS } from "../announce.ts";
import type { EndedRuntime } from "../exit-cause.ts";
import { CrashHistory } from "./crash-history.ts";
import { causeOf, markInstallations, servesAnybody } from "./crash-loop.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

const FAILURES: readonly RuntimeEnd["reason"][] = ["crashed", "oom", "unhealthy", "start_failed", "lost"];

export class PoolFate {
  readonly #key: string;
  readonly #deps: SupervisorDeps;
  readonly #wake: () => void;
  readonly #history: CrashHistory;
  #timer: AbortController | undefined;
  #isSeeded = false;

  constructor(key: string, deps: SupervisorDeps, wake: () => void) {
    this.#key = key;
    this.#deps = deps;
    this.#wake = wake;
    this.#history = new CrashHistory(deps.supervision);
  }

  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /** What earlier keepers saw counts too; a Runtime that was replaced or stopped on purpose ends the series. */
  seed(rows: readonly RuntimeRecord[]): void {
    if (this.#isSeeded) return;
    this.#isSeeded = true;
    const ended = rows.filter(({ state }) => state === "ended");
    const clean = ended.findIndex(({ end }) => end !== undefined && !FAILURES.includes(end.reason));
    for (const record of ended.slice(0, clean < 0 ? undefined : clean).reverse()) {
      this.#history.note({ at: record.endedAt?.getTime() ?? 0, healthyForMs: this.healthyFor(record) });
    }
  }

  healthyFor({ readyAt, endedAt }: RuntimeRecord): number {
    if (readyAt === undefined) return 0;
    return (endedAt?.getTime() ?? this.#deps.clock.now()) - readyAt.getTime();
  }

  forgive(): void {
    this.#history.reset();
  }

  async setState(state: Pool["state"], fault?: Fault): Promise<void> {
    const cause = fault === undefined ? undefined : formatFault(fault);
    await this.#write({ state, cause, nextStartAt: undefined });
  }

  /** Counts the failure and writes what follows from it: `starting`, `backoff` or `crash_loop`. */
  async failed(failure: EndedRuntime | Fault, healthyForMs: number): Promise<void> {
    const { clock, store, supervision, log } = this.#deps;
    const verdict = this.#history.note({ at: clock.now(), healthyForMs });
    switch (verdict.verdict) {
      case "now":
        return await this.setState("starting");
      case "wait":
        return await this.backOff(failure, verdict.delayMs);
      case "give_up": {
        const { crashes } = verdict;
        const cause = causeOf(failure, { crashes, windowMs: supervision.crashWindowMs });
        await this.#write({ state: "crash_loop", cause, nextStartAt: undefined });
        await markInstallations(store, this.#key, { state: "crash_loop", cause });
        log.error({ op: "pool.crash_loop", ok: false, pool: this.#key, code: cause.code, crashes });
        return;
      }
      default:
        verdict satisfies never;
    }
  }

  /** A first start that fails is the installer's to handle; any other is a failure of the Pool. */
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
    else if (fault.rule.retry) await this.backOff(fault, supervision.backoffFirstMs);
    else await this.failed(fault, 0);
  }

  /** On the row of a Pool that serves; `why` undefined: it is well again. */
  showHealth(runtime: RuntimeId, why: string | undefined): void {
    const { log } = this.#deps;
    log.warn({ op: "runtime.health", ok: why === undefined, runtime, pool: this.#key, why });
    const fault =
      why === undefined ? undefined : new Fault("plugin_not_ready", `The runtime is unhealthy: ${why}.`);
    this.setState("ready", fault).catch((error: unknown) =>
      log.warn({ op: "runtime.health", ok: false, runtime, err: toFault(error) }),
    );
  }

  async backOff(failure: EndedRuntime | Fault, delayMs: number): Promise<void> {
    const nextStartAt = new Date(this.#deps.clock.now() + delayMs);
    await this.#write({ state: "backoff", cause: causeOf(failure), nextStartAt });
    this.#wakeAt(nextStartAt);
  }

  /** Whether a Pool in back-off may start; where it may not yet, it is woken when it may. */
  isDue({ nextStartAt }: Pool): boolean {
    if (nextStartAt === undefined || nextStartAt.getTime() <= this.#deps.clock.now()) return true;
    if (this.#timer === undefined) this.#wakeAt(nextStartAt);
    return false;
  }

  stop(): void {
    this.#timer?.abort();
    this.#timer = undefined;
  }

  #wakeAt(at: Date): void {
    this.#timer?.abort();
    const timer = new AbortController();
    this.#timer = timer;
    const { clock, lifetime } = this.#deps;
    clock.sleep(Math.max(0, at.getTime() - clock.now()), AbortSignal.any([timer.signal, lifetime])).then(
      () => {
        if (this.#timer === timer) this.#timer = undefined;
        this.#wake();
      },
      () => undefined,
    );
  }

  async #write(state: Pick<Pool, "state" | "cause" | "nextStartAt">): Promise<void> {
    await this.#deps.store.pools.setState(this.#key, state);
    void announce(this.#deps.queue, TOPICS.changed, this.#key);
  }
}
