import type { Installation } from "../../domain/installation.ts";
import type { ContainersOf } from "../../domain/limits-applied.ts";
import type { Pool } from "../../domain/runtime.ts";

/** Which containers a change of the Installation's limits would apply to. */
export function containersOf(
  { state, desired }: Pick<Installation, "state" | "desired">,
  pool: Pick<Pool, "tenantId"> | undefined,
): ContainersOf {
  if (pool !== undefined && pool.tenantId === undefined) return "shared";
  if (state === "failed" || pool === undefined) return "new";
  return desired === "enabled" ? "running" : "stopped";
}
