/**
 * Checks the health of one runtime until it is to be replaced. A late answer still proves that the runner lives, so a
 * ping stays open until it is answered or its connection is lost.
 */
import type { RuntimeId } from "../../domain/ids.ts";
import type { RuntimeHealth, RuntimeLink } from "../../transport/transport.ts";
import type { Clock } from "../../util/clock.ts";
import { Deadline } from "../../util/deadline.ts";
import { waitOrAbort } from "../../util/wait.ts";
import type { SupervisionSettings } from "../settings.ts";
import type { HealthJudge } from "./judge.ts";

export interface HealthListener {
  /** The first miss in a row. */
  onUnhealthy(why: string): void;
  /** A miss does not count; called once for each reason. */
  onSpared(why: string, because: string): void;
  /** It answers again. */
  onHealthy(): void;
  /** It is to be replaced; no more pings follow. */
  onDead(why: string): void;
}

export interface HealthWatchDeps {
  readonly id: RuntimeId;
  readonly link: RuntimeLink;
  readonly judge: HealthJudge;
  readonly clock: Clock;
  readonly settings: Pick<
    SupervisionSettings,
    "healthMs" | "healthRetryMs" | "pingTimeoutMs" | "heartbeatAgeMaxMs" | "idleHeartbeatAgeMaxMs" | "lateMs"
  >;
}

interface Miss {
  readonly why: string;
  readonly excuse?: string;
  readonly isCertain?: boolean;
}

/** Resolves when the signal aborts or the runtime is to be replaced. */
export async function watchHealth(
  deps: HealthWatchDeps,
  listener: HealthListener,
  signal: AbortSignal,
): Promise<void> {
  deps.judge.watch(deps.id);
  try {
    await new HealthWatch(deps, listener, signal).run();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    deps.judge.forget(deps.id);
  }
}

class HealthWatch {
  readonly #deps: HealthWatchDeps;
  readonly #listener: HealthListener;
  readonly #signal: AbortSignal;
  #open: Promise<RuntimeHealth | Error> | undefined;
  #isSilent = false;
  #because: string | undefined;

  constructor(deps: HealthWatchDeps, listener: HealthListener, signal: AbortSignal) {
    this.#deps = deps;
    this.#listener = listener;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const { clock, settings } = this.#deps;
    for (let delayMs = settings.healthMs; ; ) {
      await clock.sleep(delayMs, this.#signal);
      const since = clock.now();
      const answer = await this.#ask();
      this.#signal.throwIfAborted();
      const miss = this.#missOf(answer);
      if (miss === undefined) this.#answered();
      else if (this.#missed(miss, since)) return;
      delayMs = this.#isSilent ? settings.healthRetryMs : this.#nextMs(answer);
    }
  }

  /** The answer, or after `pingTimeoutMs` why there is none. */
  async #ask(): Promise<RuntimeHealth | Error> {
    const { link, clock, settings } = this.#deps;
    this.#open ??= link
      .ping(this.#signal)
      .catch((error: unknown) => (error instanceof Error ? error : new Error("no answer")));
    const ms = settings.pingTimeoutMs;
    const late = new Error(`no answer within ${ms} ms`);
    using deadline = new Deadline({ clock, ms, late: () => late }, this.#signal);
    try {
      const answer = await waitOrAbort(this.#open, deadline.signal);
      this.#open = undefined;
      return answer;
    } catch {
      this.#signal.throwIfAborted();
      return late;
    }
  }

  #missOf(answer: RuntimeHealth | Error): Miss | undefined {
    if (answer instanceof Error) return { why: answer.message };
    const { settings } = this.#deps;
    if (!answer.alive) return { why: "the plugin's process has ended", isCertain: true };
    if (answer.stopped === true) return { why: "the plugin's process is stopped", isCertain: true };
    const age = answer.heartbeatAgeMs;
    if (age === undefined || age <= this.#heartbeatAgeMaxMs(answer)) return undefined;
    const why = `no heartbeat for ${age} ms`;
    const { lateMs = 0 } = answer;
    if (lateMs <= settings.lateMs) return { why };
    return { why, excuse: `its runner did not run for ${lateMs} ms either` };
  }

  /** A plugin that answers a call may compute without a pause and send no heartbeat; an idle one has no reason to. */
  #heartbeatAgeMaxMs({ openSessions }: RuntimeHealth): number {
    const { heartbeatAgeMaxMs, idleHeartbeatAgeMaxMs } = this.#deps.settings;
    return openSessions > 0 ? heartbeatAgeMaxMs : Math.min(idleHeartbeatAgeMaxMs, heartbeatAgeMaxMs);
  }

  /** The next check is due early if a heartbeat would be overdue before then. */
  #nextMs(answer: RuntimeHealth | Error): number {
    const { healthMs, healthRetryMs } = this.#deps.settings;
    if (answer instanceof Error || answer.heartbeatAgeMs === undefined) return healthMs;
    const overdueMs = this.#heartbeatAgeMaxMs(answer) - answer.heartbeatAgeMs + 1;
    return Math.min(healthMs, Math.max(healthRetryMs, overdueMs));
  }

  #answered(): void {
    this.#deps.judge.answered(this.#deps.id);
    if (this.#isSilent) this.#listener.onHealthy();
    this.#isSilent = false;
    this.#because = undefined;
  }

  /** True if it is to be replaced. */
  #missed({ why, excuse, isCertain }: Miss, since: number): boolean {
    const { judge, id, clock } = this.#deps;
    if (!this.#isSilent) this.#listener.onUnhealthy(why);
    this.#isSilent = true;
    const verdict = judge.missed(id, { since, at: clock.now(), excuse, isCertain: isCertain === true });
    if (verdict.verdict === "replace") {
      this.#listener.onDead(why);
      return true;
    }
    const because = verdict.verdict === "wait" ? verdict.why.replace(/\d+/g, "N") : undefined;
    if (verdict.verdict === "wait" && because !== this.#because) this.#listener.onSpared(why, verdict.why);
    this.#because = because;
    return false;
  }
}
