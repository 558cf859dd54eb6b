/**
 * Remembers for ten minutes which containers somebody else stopped or removed, and when the engine was away. Such an end
 * is no crash of the plugin: an operator's `docker rm`, another Berth's `claim`, a restart of the engine.
 */
import type { ContainerState } from "../../domain/container.ts";
import type { RuntimeEnd } from "../../domain/runtime.ts";
import type { EngineEvent } from "../../engine/engine.ts";
import type { Clock } from "../../util/clock.ts";

const KEPT_MS = 600_000;
/** An engine that stops ends its containers a little before or after its connections break. */
const AROUND_MS = 15_000;
/** INT, QUIT, KILL and TERM. */
const ENDING_SIGNALS = [2, 3, 9, 15];

export class EngineHistory {
  readonly #clock: Clock;
  /** Containers that somebody ended, and when the event came. */
  readonly #endedAt = new Map<string, number>();
  #away: { readonly from: number; until: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes every event of a container. `explain` is not called for those that Berth ended itself. */
  note({ action, containerId, signal }: EngineEvent): void {
    const isEnding = action === "kill" && (signal === undefined || ENDING_SIGNALS.includes(signal));
    if (!isEnding && action !== "destroy") return;
    const now = this.#clock.now();
    for (const [id, at] of this.#endedAt) if (now - at > KEPT_MS) this.#endedAt.delete(id);
    this.#endedAt.set(containerId, now);
  }

  /** The stream of events broke, or could not be opened again. */
  noteBroken(): void {
    const now = this.#clock.now();
    if (this.#away === undefined || now - this.#away.until > 2 * AROUND_MS)
      this.#away = { from: now, until: now };
    else this.#away.until = now;
  }

  /** Why a container ended, if neither Berth nor its plugin ended it. `endedAt`: when Berth saw the end. */
  explain(
    containerId: string,
    endedAt: number,
    state: Pick<ContainerState, "finishedAt"> | undefined,
  ): Extract<RuntimeEnd["reason"], "ended_outside" | "engine_restarted"> | undefined {
    if (this.#endedAt.has(containerId)) return "ended_outside";
    const isAway = [endedAt, state?.finishedAt?.getTime()].some(
      (at) => at !== undefined && this.#wasAway(at),
    );
    return isAway ? "engine_restarted" : undefined;
  }

  #wasAway(at: number): boolean {
    if (this.#away === undefined) return false;
    return at >= this.#away.from - AROUND_MS && at <= this.#away.until + AROUND_MS;
  }
}
