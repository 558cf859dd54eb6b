/**
 * Decides what a missed health check means. A miss counts against a runtime only if this process ran, the host had time
 * for the answer, and most other runtimes answer: on a starved host all miss at once. Silence for `patienceMs` replaces a
 * runtime whatever the host does. No I/O and no clock: times are passed in, in milliseconds.
 */
export interface JudgeRules {
  /** Misses in a row that replace a runtime on a host with time for all. */
  readonly missesMax: number;
  /** Silence that replaces it on any host, not counting time in which this process itself did not run. */
  readonly patienceMs: number;
  /** At least so many runtimes that miss within `togetherMs`, and such a share of all, blame the host. */
  readonly togetherMin: number;
  readonly togetherShare: number;
  readonly togetherMs: number;
  /** Most runtimes that are replaced for their health in any minute. */
  readonly replacementsPerMinute: number;
}

/** What the judge needs to know of the host: `HostStrain` is one. */
export interface Host {
  lateMs(since: number, now: number): number;
  explain(since: number, now: number): string | undefined;
}

export type Verdict =
  /** It counts; `misses`: so many in a row by now. */
  | { readonly verdict: "miss"; readonly misses: number }
  /** It does not count, or not yet. */
  | { readonly verdict: "wait"; readonly why: string }
  /** The runtime is to be replaced; no more checks follow. */
  | { readonly verdict: "replace" };

interface Silence {
  readonly since: number;
  misses: number;
  lastAt: number;
}

const MINUTE_MS = 60_000;

export class HealthJudge {
  readonly #rules: JudgeRules;
  readonly #host: Host;
  readonly #watched = new Map<string, Silence | undefined>();
  #replacedAt: number[] = [];

  constructor(rules: JudgeRules, host: Host) {
    this.#rules = rules;
    this.#host = host;
  }

  watch(id: string): void {
    this.#watched.set(id, undefined);
  }

  forget(id: string): void {
    this.#watched.delete(id);
  }

  answered(id: string): void {
    if (this.#watched.has(id)) this.#watched.set(id, undefined);
  }

  /** Why silence between the two times does not count; undefined if the host had time for an answer. */
  strainBetween(since: number, at: number): string | undefined {
    return this.#host.explain(since, at);
  }

  /**
   * `since`: when this check began, in milliseconds since the epoch. `excuse`: another reason not to count the miss. `isCertain`: the runner itself
   * reports that the plugin cannot answer, which no busy host explains.
   */
  missed(
    id: string,
    miss: {
      readonly since: number;
      readonly at: number;
      readonly excuse?: string | undefined;
      readonly isCertain?: boolean;
    },
  ): Verdict {
    const { since, at, isCertain = false } = miss;
    const silence = this.#watched.get(id) ?? { since, misses: 0, lastAt: at };
    silence.lastAt = at;
    this.#watched.set(id, silence);
    const why = isCertain ? undefined : (this.#host.explain(since, at) ?? miss.excuse ?? this.#together(at));
    if (why !== undefined && !this.#isPatienceOver(silence, at)) return { verdict: "wait", why };
    silence.misses += 1;
    if (why === undefined && silence.misses < this.#rules.missesMax)
      return { verdict: "miss", misses: silence.misses };
    return this.#replace(id, at);
  }

  #replace(id: string, at: number): Verdict {
    const { replacementsPerMinute } = this.#rules;
    this.#replacedAt = this.#replacedAt.filter((time) => Math.abs(at - time) < MINUTE_MS);
    if (this.#replacedAt.length >= replacementsPerMinute) {
      return {
        verdict: "wait",
        why: `${replacementsPerMinute} unhealthy runtimes were replaced within the last minute`,
      };
    }
    this.#replacedAt.push(at);
    this.#watched.delete(id);
    return { verdict: "replace" };
  }

  #together(at: number): string | undefined {
    const { togetherMin, togetherShare, togetherMs } = this.#rules;
    let silent = 0;
    for (const silence of this.#watched.values()) {
      if (silence !== undefined && at - silence.lastAt <= togetherMs) silent += 1;
    }
    const isMany = silent >= togetherMin && silent >= togetherShare * this.#watched.size;
    return isMany ? `${silent} of ${this.#watched.size} plugins fail their checks together` : undefined;
  }

  #isPatienceOver({ since }: Silence, at: number): boolean {
    return at - since - this.#host.lateMs(since, at) >= this.#rules.patienceMs;
  }
}
