/** When a pool gets one runtime more, and when one less. */

/** The load of a pool at one moment. */
export interface Load {
  /** By the monotonic clock, in milliseconds. */
  readonly at: number;
  /** The desired number of runtimes now. */
  readonly wanted: number;
  /** Open calls of each that serves. */
  readonly openCalls: readonly number[];
}

/** Since when every sample was busy, or quiet; undefined: the last sample was not. */
export interface LoadTrend {
  readonly busySince: number | undefined;
  readonly quietSince: number | undefined;
}

export interface ScaleRule {
  /** Open calls from which on a runtime is busy. */
  readonly busyCalls: number;
  readonly busyMs: number;
  readonly quietMs: number;
}

export const NO_TREND: LoadTrend = { busySince: undefined, quietSince: undefined };

/**
 * One more if all desired runtimes serve and each was busy in every sample for `busyMs`. One less if in every sample for
 * `quietMs` one runtime fewer would not have been busy with all calls together.
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
