/** How limits that are changed come into force: what the plan is, and what it came to be. */
import { z } from "zod";
import { LIMIT_KEYS, type Limits } from "./limits.ts";

export const LIMIT_APPLIED = [
  /** Berth itself holds it: from the next call on, without any change of a Container. */
  "next_call",
  /** With the Containers that run; their calls go on. */
  "live",
  /** With a new Container, which takes over from the one that runs; of several, from one of them at least. */
  "rolling",
  /** When it starts the next time: nothing of it runs now. */
  "next_start",
] as const;
export type LimitApplied = (typeof LIMIT_APPLIED)[number];

/** Of those that change; what is absent stays as it was. */
export type LimitsApplied = { readonly [K in keyof Limits]?: LimitApplied | undefined };

const Kept = z.partialRecord(z.enum(LIMIT_KEYS), z.enum(LIMIT_APPLIED));

/** As a task keeps it; undefined where it keeps none. */
export function readApplied(kept: unknown): LimitsApplied | undefined {
  return Kept.safeParse(kept).data;
}

/** Those that Berth holds itself, and those that say how many Containers there are. All others are a Container's own. */
const OF_CALLS: ReadonlySet<keyof Limits> = new Set(["concurrencyMax", "timeoutMs"]);
const HOW_MANY: ReadonlySet<keyof Limits> = new Set(["replicasMin", "replicasMax"]);

/** What an Installation has Containers of: its own that run, or stand still, or are made anew; others' in a shared Pool. */
export type ContainersOf = "running" | "stopped" | "new" | "shared";

/** One Container has all its limits at once: where one of them needs another Container, the others come with it. */
export function planLimits(from: Limits, to: Limits, containers: ContainersOf): LimitsApplied {
  const needsAnother = to.storageBytes !== from.storageBytes || to.memoryBytes < from.memoryBytes;
  const how = { running: needsAnother ? "rolling" : "live", stopped: "next_start", new: "rolling" } as const;
  const howMany = { ...how, running: "live" } as const;
  const applied: { -readonly [K in keyof LimitsApplied]: LimitApplied } = {};
  for (const key of LIMIT_KEYS) {
    if (to[key] === from[key]) continue;
    if (OF_CALLS.has(key)) applied[key] = "next_call";
    else if (containers !== "shared") applied[key] = (HOW_MANY.has(key) ? howMany : how)[containers];
  }
  return applied;
}

/** Whoever keeps the Containers has something to do. */
export function changesContainers(applied: LimitsApplied): boolean {
  return Object.values(applied).some((how) => how === "live" || how === "rolling");
}

/** The plan, where what was to be changed as it runs needed another Container after all. */
export function asRolling(plan: LimitsApplied): LimitsApplied {
  const entries = LIMIT_KEYS.map((key) => [
    key,
    plan[key] === "live" && !HOW_MANY.has(key) ? "rolling" : plan[key],
  ]);
  return Object.fromEntries(entries);
}
