/**
 * What the Engine was told to do to Containers by others, and when it was away. An end that comes of it is nobody's
 * crash: an operator's `docker rm`, another Berth's `claim`, an Engine that restarts.
 */
import type { ContainerState } from "../../domain/container.ts";
import type { RuntimeEnd } from "../../domain/runtime.ts";
import type { EngineEvent } from "../../engine/engine.ts";
import type { Clock } from "../../util/clock.ts";

const KEPT_MS = 600_000;
/** An Engine that goes ends its Containers a little before its connections break, or a little after. */
const AROUND_MS = 15_000;
/** INT, QUIT, KILL and TERM: what ends a process that does not ask for other signals. */
const ENDING_SIGNALS = [2, 3, 9, 15];

export class EngineHistory {
  readonly #clock: Clock;
  /** Containers that were told to end, and when that was heard. */
  readonly #told = new Map<string, number>();
  #away: { readonly from: number; until: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Every event of a Container; those of Berth's own doing are never asked for. */
  note({ action, containerId, signal }: EngineEvent): void {
    const isEnding = action === "kill" && (signal === undefined || ENDING_SIGNALS.includes(signal));
    if (!isEnding && action !== "destroy") return;
    const now = this.#clock.now();
    for (const [id, at] of this.#told) if (now - at > KEPT_MS) this.#told.delete(id);
    this.#told.set(containerId, now);
  }

  /** The stream of events broke, or did not come up again. */
  noteBroken(): void {
    const now = this.#clock.now();
    if (this.#away === undefined || now - this.#away.until > 2 * AROUND_MS)
      this.#away = { from: now, until: now };
    else this.#away.until = now;
  }

  /** Why a Container ended that Berth did not end, where it was not its plugin's doing. `endedAt`: when Berth saw it. */
  explain(
    containerId: string,
    endedAt: number,
    state: Pick<ContainerState, "finishedAt"> | undefined,
  ): Extract<RuntimeEnd["reason"], "ended_outside" | "engine_restarted"> | undefined {
    if (this.#told.has(containerId)) return "ended_outside";
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
