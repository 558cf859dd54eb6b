/** The desired spec of a pool's runtimes, from the operator's settings, limits and requests, and how one differs from it. */
import type { LiveResources } from "../../../domain/container.ts";
import type { Pool, RuntimeRecord } from "../../../domain/runtime.ts";
import { liveResources, profileHash } from "../../launch/profile.ts";
import type { ReplicaRange, SupervisionSettings } from "../../settings.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

type DesiredSpecDeps = Pick<SupervisorDeps, "profile"> & { readonly store: { readonly instanceId: string } };

/** The pool under the limits that the next runtime starts with. */
export function desiredSpec(pool: Pool): Pool {
  return pool.nextLimits === undefined ? pool : { ...pool, limits: pool.nextLimits };
}

/** Whether it needs another container, because the engine cannot change this one as desired. */
export function isOutdated(
  { store, profile }: DesiredSpecDeps,
  pool: Pool,
  { specHash }: RuntimeRecord,
): boolean {
  return specHash !== profileHash(desiredSpec(pool), { instanceId: store.instanceId, settings: profile });
}

/** The desired number of runtimes. */
export function replicasOf(pool: Pool, { sharedReplicas }: SupervisionSettings): ReplicaRange {
  if (pool.tenantId === undefined) return sharedReplicas;
  const { replicasMin: min, replicasMax: max } = desiredSpec(pool).limits;
  return { min, max };
}

/** What a runtime needs to reach its desired spec: nothing, a change of the running container, or a replacement. */
export type LimitsStep = "none" | "live" | "rolling";

/** Less memory needs a replacement: the running processes may hold more already, and the kernel would kill one. */
export function stepTo(
  deps: DesiredSpecDeps,
  pool: Pool,
  { record, resources }: { readonly record: RuntimeRecord; readonly resources: LiveResources },
): LimitsStep {
  if (isOutdated(deps, pool, record)) return "rolling";
  const wanted = liveResources(desiredSpec(pool));
  if (wanted.memoryBytes < resources.memoryBytes) return "rolling";
  const isSame =
    wanted.memoryBytes === resources.memoryBytes &&
    wanted.cpuMillis === resources.cpuMillis &&
    wanted.pidsMax === resources.pidsMax;
  return isSame ? "none" : "live";
}
