/** What the Runtimes of a Pool are to be, and whether one is that: by the operator's settings, limits and requests. */
import type { Pool, RuntimeRecord } from "../../domain/runtime.ts";
import { profileHash } from "../profile.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

type AimDeps = Pick<SupervisorDeps, "profile"> & { readonly store: { readonly instanceId: string } };

/** The Pool under the limits that the next Runtime starts with. */
export function aimOf(pool: Pool): Pool {
  return pool.nextLimits === undefined ? pool : { ...pool, limits: pool.nextLimits };
}

export function isOutdated({ store, profile }: AimDeps, pool: Pool, { specHash }: RuntimeRecord): boolean {
  return specHash !== profileHash(aimOf(pool), { instanceId: store.instanceId, settings: profile });
}

/** Somebody waits for another Runtime than this one: it is replaced now, and not when its turn among all Pools comes. */
export function isReplaceAsked(deps: AimDeps, pool: Pool, record: RuntimeRecord): boolean {
  if (record.generation < pool.generationMin) return true;
  return pool.nextLimits !== undefined && isOutdated(deps, pool, record);
}
