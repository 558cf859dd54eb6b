/** When a Pool gets one Runtime more, and when it can do with one less. */

/** What the Runtimes of a Pool have to do at one moment. */
export interface Load {
  /** By a clock that nobody sets. */
  readonly at: number;
  /** Runtimes that the Pool is to have now. */
  readonly wanted: number;
  /** Open calls of each that serves. */
  readonly openCalls: readonly number[];
}

/** Since when each look at the load has found it so; undefined: the last one has not. */
export interface LoadTrend {
  readonly busySince: number | undefined;
  readonly quietSince: number | undefined;
}

export interface ScaleRule {
  /** Open calls from which on a Runtime is busy. */
  readonly busyCalls: number;
  readonly busyMs: number;
  readonly quietMs: number;
}

export const NO_TREND: LoadTrend = { busySince: undefined, quietSince: undefined };

/**
 * One more where all that the Pool is to have serve, and every one of them was busy at each look for `busyMs`. One less
 * where at each look for `quietMs` all calls together would not have kept one fewer busy.
 */
export function judgeLoad(
  trend: LoadTrend,
  { at, wanted, openCalls }: Load,
  { busyCalls, busyMs, quietMs }: ScaleRule,
): { readonly trend: LoadTrend; readonly verdict: "more" | "less" | "same" } {
  const isBusy = openCalls.length >= wanted && openCalls.every((calls) => calls >= busyCalls);
  const isQuiet = openCalls.reduce((sum, calls) => sum + calls, 0) < busyCalls * (wanted - 1);
  const busySince = isBusy ? (trend.busySince ?? at) : undefined;
  const quietSince = isQuiet ? (trend.quietSince ?? at) : undefined;
  const isFor = (since: number | undefined, ms: number) => since !== undefined && at - since >= ms;
  const verdict = isFor(busySince, busyMs) ? "more" : isFor(quietSince, quietMs) ? "less" : "same";
  return { trend: { busySince, quietSince }, verdict };
}
