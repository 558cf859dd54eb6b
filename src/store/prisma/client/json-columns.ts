/**
 * JSON columns of several aggregates. This folder alone writes those of `berth_*` tables, so they are read with `as`.
 */
import type { FaultJson } from "../../../domain/fault.ts";
import type { Limits } from "../../../domain/limits.ts";

/** Rows of earlier releases have no number of Runtimes: it was one. */
export function readLimits(kept: unknown): Limits {
  return { replicasMin: 1, replicasMax: 1, ...(kept as Omit<Limits, "replicasMin" | "replicasMax">) };
}

export function toCause(value: unknown): FaultJson | undefined {
  return value === null ? undefined : (value as FaultJson);
}
