/** What the Runtimes of a Pool are to be, and whether one is that: by the operator's settings, limits and requests. */
import type { LiveResources } from "../../../domain/container.ts";
import type { Pool, RuntimeRecord } from "../../../domain/runtime.ts";
import { liveResources, profileHash } from "../../launch/profile.ts";
import type { ReplicaRange, SupervisionSettings } from "../../settings.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

type DesiredSpecDeps = Pick<SupervisorDeps, "profile"> & { readonly store: { readonly instanceId: string } };

/** The Pool under the limits that the next Runtime starts with. */
export function desiredSpec(pool: Pool): Pool {
  return pool.nextLimits === undefined ? pool : { ...pool, limits: pool.nextLimits };
}

/** It needs another Container, whatever the Engine can change of this one. */
export function isOutdated(
  { store, profile }: DesiredSpecDeps,
  pool: Pool,
  { specHash }: RuntimeRecord,
): boolean {
  return specHash !== profileHash(desiredSpec(pool), { instanceId: store.instanceId, settings: profile });
}

/** How many Runtimes the Pool is to have. */
export function replicasOf(pool: Pool, { sharedReplicas }: SupervisionSettings): ReplicaRange {
  if (pool.tenantId === undefined) return sharedReplicas;
  const { replicasMin: min, replicasMax: max } = desiredSpec(pool).limits;
  return { min, max };
}

/** How a Runtime comes to be what its Pool is to have: it is that, its Container is changed, or it is replaced. */
export type LimitsStep = "none" | "live" | "rolling";

/** Less memory than a process may hold already is for a new one: the kernel would have to kill for it. */
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
