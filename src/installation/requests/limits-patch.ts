/** The limits that a tenant chooses for one installation: as requested, checked, and stored. */
import { z } from "zod";
import { Fault, invalidInput } from "../../domain/fault.ts";
import type { Installation } from "../../domain/installation.ts";
import { LIMIT_KEYS, LIMIT_NAMES, type Limits, type LimitsWanted } from "../../domain/limits.ts";
import type { ContainersOf } from "../../domain/limits-applied.ts";
import type { Pool } from "../../domain/runtime.ts";

/** Null undoes a choice: the manifest's number applies again. */
export type LimitsPatch = { readonly [K in keyof Limits]?: number | null | undefined };

const MIB = 1_048_576;
/** The smallest values with which an engine and a plugin work. */
const FLOOR: Limits = {
  memoryBytes: 16 * MIB,
  storageBytes: MIB,
  cpuMillis: 10,
  pidsMax: 4,
  concurrencyMax: 1,
  timeoutMs: 1_000,
  replicasMin: 1,
  replicasMax: 1,
};

/**
 * Reads `{"memory_bytes": 268435456, ...}`. Throws `invalid_input` with the field, its value and what is accepted: the
 * names, and for each a whole number up to the operator's ceiling.
 */
export function parseLimits(given: unknown, ceiling: Limits): LimitsPatch {
  const names = Object.values(LIMIT_NAMES).join(", ");
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw invalidInput("limits", given, `an object of ${names}`);
  const unknown = Object.keys(given).find((name) => !(Object.values(LIMIT_NAMES) as string[]).includes(name));
  if (unknown !== undefined) throw invalidInput(`limits.${unknown}`, Reflect.get(given, unknown), names);
  const patch: { -readonly [K in keyof LimitsPatch]: LimitsPatch[K] } = {};
  for (const key of LIMIT_KEYS) {
    const value: unknown = Reflect.get(given, LIMIT_NAMES[key]);
    if (value === undefined) continue;
    patch[key] = value === null ? null : checked(key, value, ceiling);
  }
  if (Object.keys(patch).length === 0) throw invalidInput("limits", given, `at least one of ${names}`);
  return patch;
}

function checked(key: keyof Limits, value: unknown, ceiling: Limits): number {
  const [least, most] = [Math.min(FLOOR[key], ceiling[key]), ceiling[key]];
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  const isReplicas = key === "replicasMin" || key === "replicasMax";
  const own = isReplicas ? "1" : "the manifest's own";
  const accepted = `a whole number from ${least} to ${most}, or null for ${own}`;
  throw invalidInput(`limits.${LIMIT_NAMES[key]}`, value, accepted);
}

/** Throws `invalid_input` where the minimum of replicas exceeds the maximum. */
export function assertReplicas(
  patch: LimitsPatch,
  { replicasMin, replicasMax }: Limits,
  ceiling: Limits,
): void {
  if (replicasMin <= replicasMax) return;
  const { replicasMin: min, replicasMax: max } = LIMIT_NAMES;
  if (typeof patch.replicasMin === "number")
    throw invalidInput(
      `limits.${min}`,
      replicasMin,
      `a whole number from 1 to ${replicasMax}, which ${max} is`,
    );
  const most = ceiling.replicasMax;
  throw invalidInput(
    `limits.${max}`,
    patch.replicasMax,
    `a whole number from ${replicasMin}, which ${min} is, to ${most}`,
  );
}

/** Throws `invalid_input` for a limit of containers in a shared pool, which belong to all tenants. */
export function assertOwn(patch: LimitsPatch): void {
  const foreign = LIMIT_KEYS.find(
    (key) => patch[key] !== undefined && key !== "concurrencyMax" && key !== "timeoutMs",
  );
  if (foreign === undefined) return;
  throw new Fault(
    "invalid_input",
    "The plugin runs in a shared pool, whose limits are the operator's settings.",
    {
      details: {
        field: `limits.${LIMIT_NAMES[foreign]}`,
        value: patch[foreign],
        accepted: `${LIMIT_NAMES.concurrencyMax}, ${LIMIT_NAMES.timeoutMs}`,
      },
    },
  );
}

const Kept = z.partialRecord(z.enum(LIMIT_KEYS), z.number().nullable());

/** Reads the limits from a task's input. */
export function readPatch(kept: unknown): LimitsPatch {
  return Kept.parse(kept);
}

export function mergeLimits(chosen: LimitsWanted, patch: LimitsPatch): LimitsWanted {
  const entries = Object.entries({ ...chosen, ...patch });
  return Object.fromEntries(entries.filter(([, value]) => typeof value === "number"));
}

/** Which containers a change of the installation's limits would apply to. */
export function containersOf(
  { state, desired }: Pick<Installation, "state" | "desired">,
  pool: Pick<Pool, "tenantId"> | undefined,
): ContainersOf {
  if (pool !== undefined && pool.tenantId === undefined) return "shared";
  if (state === "failed" || pool === undefined) return "new";
  return desired === "enabled" ? "running" : "stopped";
}
