import { randomUUID } from "node:crypto";
import type { Engine } from "../../engine/engine.ts";
import { formatLabelFilter } from "../../engine/labels.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { isWheelsContainer } from "../images/build/wheel-cache.ts";
import { WHEEL_CACHE_LEASE } from "../images/build-image.ts";
import { underLease } from "../task-engine/under-lease.ts";

export interface HoldWheelCacheDeps {
  readonly store: Pick<Store, "disk" | "leases" | "instanceId">;
  readonly engine: Pick<Engine, "listContainers">;
  readonly clock: Clock;
  readonly settings: { readonly leaseMs: number };
}

/**
 * Does the work while no build uses the wheel cache or a folder of wheels; builds that begin meanwhile wait. Where a
 * build or another worker uses it now, does nothing and answers why.
 */
export async function holdWheelCache(
  deps: HoldWheelCacheDeps,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { store, clock, settings } = deps;
  const holder = randomUUID();
  const { leaseMs } = settings;
  if (!(await store.leases.take(WHEEL_CACHE_LEASE, holder, leaseMs)))
    return "another worker is removing files from it";
  try {
    if (await isBuilding(deps, signal)) return "a build is using it";
    const renew = () => store.leases.renew(WHEEL_CACHE_LEASE, holder, leaseMs);
    await underLease({ clock, leaseMs, renew }, signal, work);
    return undefined;
  } finally {
    await store.leases.release(WHEEL_CACHE_LEASE, holder).catch(() => undefined);
  }
}

async function isBuilding({ store, engine }: HoldWheelCacheDeps, signal: AbortSignal): Promise<boolean> {
  const rows = await store.disk.images.list();
  if (rows.some(({ layer, state, isLeased }) => layer === "dependencies" && state === "building" && isLeased))
    return true;
  // A build of a worker that has lost its lease may still run.
  const labels = formatLabelFilter({ instance: store.instanceId, kind: "build" });
  const builds = await engine.listContainers(labels, signal);
  return builds.some(({ name, phase }) => isWheelsContainer(name) && phase === "running");
}
