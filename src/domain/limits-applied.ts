/** How changed limits take effect: the plan, and what came of it. */
import { z } from "zod";
import { LIMIT_KEYS, type Limits } from "./limits.ts";

export const LIMIT_APPLIED = [
  /** Berth itself enforces it: from the next call on, with no change to a container. */
  "next_call",
  /** In the running containers; their calls go on. */
  "live",
  /** With a new container that takes over from the running one; of several, from at least one of them. */
  "rolling",
  /** At the next start: nothing runs now. */
  "next_start",
] as const;
export type LimitApplied = (typeof LIMIT_APPLIED)[number];

/** Of the limits that change; an absent limit did not change. */
export type LimitsApplied = { readonly [K in keyof Limits]?: LimitApplied | undefined };

const Kept = z.partialRecord(z.enum(LIMIT_KEYS), z.enum(LIMIT_APPLIED));

/** As the task stores it; undefined where it stores none. */
export function readApplied(kept: unknown): LimitsApplied | undefined {
  return Kept.safeParse(kept).data;
}

/** Limits that Berth itself enforces, and limits on the number of containers. All others belong to each container. */
const OF_CALLS: ReadonlySet<keyof Limits> = new Set(["concurrencyMax", "timeoutMs"]);
const HOW_MANY: ReadonlySet<keyof Limits> = new Set(["replicasMin", "replicasMax"]);

/** The containers of an installation: its own, running, stopped or to be replaced; or those of a shared pool. */
export type ContainersOf = "running" | "stopped" | "new" | "shared";

/** A container gets all its limits at once: where one of them needs a new container, the others come with it. */
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

/** Whether the worker that supervises the containers has something to do. */
export function changesContainers(applied: LimitsApplied): boolean {
  return Object.values(applied).some((how) => how === "live" || how === "rolling");
}

/** The plan, changed where a limit could not be applied to the running container and needed a new one. */
export function asRolling(plan: LimitsApplied): LimitsApplied {
  const entries = LIMIT_KEYS.map((key) => [
    key,
    plan[key] === "live" && !HOW_MANY.has(key) ? "rolling" : plan[key],
  ]);
  return Object.fromEntries(entries);
}
