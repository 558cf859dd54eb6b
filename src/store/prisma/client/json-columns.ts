/**
 * JSON columns that several aggregates have. Those of `berth_*` tables are written by this folder alone, so their shape
 * is taken from there with `as`.
 */
import type { FaultJson } from "../../../domain/fault.ts";
import type { Limits } from "../../../domain/limits.ts";

/** Rows of earlier releases do not say how many Runtimes: there was one. */
export function readLimits(kept: unknown): Limits {
  return { replicasMin: 1, replicasMax: 1, ...(kept as Omit<Limits, "replicasMin" | "replicasMax">) };
}

export function toCause(value: unknown): FaultJson | undefined {
  return value === null ? undefined : (value as FaultJson);
}
