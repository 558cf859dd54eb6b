/** Changes the limits of running containers, without another start. */
import { isFault, toFault } from "../../../domain/fault.ts";
import type { Pool } from "../../../domain/runtime.ts";
import { liveResources } from "../../launch/profile.ts";
import { desiredSpec } from "./desired-spec.ts";
import type { SupervisedRuntime } from "./supervised-runtime.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

/**
 * Reserves the memory for all of them before the engine grants it to one. A keeper that ends in between leaves more
 * reserved than granted: the next keeper compares each container with the pool when it adopts it, and this one does so in
 * its next pass (`reconcileReservations`), whether somebody still asks for the limits or not.
 * Answers those that the engine refused to change, which stay as they are. Throws `host_full` and `quota_memory` with
 * the arithmetic: then nothing has changed.
 */
export async function applyLive(
  deps: SupervisorDeps,
  pool: Pool,
  runtimes: readonly SupervisedRuntime[],
): Promise<readonly SupervisedRuntime[]> {
  const { store, settings } = deps;
  const { memoryBytes } = liveResources(desiredSpec(pool));
  const judged = { budgetBytes: settings.hostMemoryBytes };
  const reserved: SupervisedRuntime[] = [];
  try {
    for (const runtime of runtimes) {
      reserved.push(runtime);
      runtime.isUncertain = true;
      await store.runtimes.reserve(runtime.live.record.id, memoryBytes, judged);
    }
  } catch (error) {
    await releaseReservations(deps, reserved);
    throw error;
  }
  const refused: SupervisedRuntime[] = [];
  for (const [index, runtime] of runtimes.entries()) {
    try {
      if (!(await change(deps, pool, runtime))) refused.push(runtime);
    } catch (error) {
      if (!deps.lifetime.aborted) await releaseReservations(deps, runtimes.slice(index + 1));
      throw error;
    }
  }
  return refused;
}

/** After a change with an unknown outcome: reserves what the engine grants the container now. */
export async function reconcileReservations(
  deps: SupervisorDeps,
  runtimes: readonly SupervisedRuntime[],
): Promise<void> {
  const { engine, store, lifetime } = deps;
  for (const runtime of runtimes.filter(({ isUncertain }) => isUncertain)) {
    const { record, containerId } = runtime.live;
    const resources = (await engine.findContainer(containerId, lifetime))?.resources;
    // The reservation of one that is gone ended with its row.
    if (resources !== undefined) {
      await store.runtimes.reserve(record.id, resources.memoryBytes, undefined);
      runtime.resources = resources;
    }
    runtime.isUncertain = false;
  }
}

/** Answers false if the engine refuses. */
async function change(deps: SupervisorDeps, pool: Pool, runtime: SupervisedRuntime): Promise<boolean> {
  const { engine, log, lifetime } = deps;
  const { record, containerId } = runtime.live;
  const wanted = liveResources(desiredSpec(pool));
  const fields = { op: "runtime.limits", runtime: record.id, pool: pool.key };
  try {
    await engine.updateContainer(containerId, wanted, lifetime);
  } catch (error) {
    // An engine that did not answer may have done it: the reservation stays until the next pass asks again.
    if (lifetime.aborted || isFault(error, "engine_unavailable")) throw error;
    await releaseReservation(deps, runtime);
    log.warn({ ...fields, ok: false, code: toFault(error).code });
    return false;
  }
  runtime.resources = wanted;
  runtime.isUncertain = false;
  log.info({ ...fields, ok: true, ...wanted });
  return true;
}

/** What a store that is away does not release now, the next pass does. */
async function releaseReservations(
  deps: SupervisorDeps,
  runtimes: readonly SupervisedRuntime[],
): Promise<void> {
  for (const runtime of runtimes) {
    await releaseReservation(deps, runtime).catch((error: unknown) =>
      deps.log.warn({
        op: "runtime.limits",
        ok: false,
        runtime: runtime.live.record.id,
        err: toFault(error),
      }),
    );
  }
}

async function releaseReservation({ store }: SupervisorDeps, runtime: SupervisedRuntime): Promise<void> {
  await store.runtimes.reserve(runtime.live.record.id, runtime.resources.memoryBytes, undefined);
  runtime.isUncertain = false;
}
