/**
 * Starts one runtime: row, folder, link, container, then the plugin's first heartbeat. Guarantees: a start that fails
 * leaves only its ended row and its log; one that stops because this process ends leaves everything as it is, and the
 * next keeper takes it over.
 */
import type { ContainerSpec, LiveResources } from "../../domain/container.ts";
import { Fault, isFault, toFault } from "../../domain/fault.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { Pool, RuntimeRecord } from "../../domain/runtime.ts";
import type { Engine } from "../../engine/engine.ts";
import { parseLabels } from "../../engine/labels.ts";
import type { Log } from "../../observe/log.ts";
import type { Store } from "../../store/store.ts";
import type { RuntimeExit } from "../../transport/transport.ts";
import type { Clock } from "../../util/clock.ts";
import type { Semaphore } from "../../util/semaphore.ts";
import type { LogKeeper } from "../logs/log-keeper.ts";
import { type Announcer, announce, TOPICS } from "../reach/announce.ts";
import type { ProfileSettings } from "../settings.ts";
import type { EngineHistory } from "./engine-history.ts";
import { exitOf, lastLines, startCrashed, startEnd, startInterrupted } from "./exit-cause.ts";
import { containerName, containerSpec, liveResources, newRuntimeId, profileHash } from "./profile.ts";
import { readyOrExit, type StartLimit, type StartWaitDeps } from "./ready-or-exit.ts";
import type { RuntimeFolders } from "./runtime-folders.ts";

export interface LaunchDeps extends StartWaitDeps {
  readonly store: Pick<Store, "instanceId" | "runtimes">;
  readonly folders: RuntimeFolders;
  readonly logs: LogKeeper;
  readonly queue: Announcer;
  /** Bounds the containers that are created or started at the same time. */
  readonly lanes: Semaphore;
  readonly engineHistory: EngineHistory;
  readonly log: Log;
  readonly profile: ProfileSettings;
  /** Aborts when this process gives up the pool. */
  readonly lifetime: AbortSignal;
}

/** A runtime with its container. */
export interface LiveRuntime {
  readonly record: RuntimeRecord;
  readonly containerId: string;
  /** What the engine grants its container. */
  readonly resources: LiveResources;
}

export interface Launch {
  readonly pool: Pool;
  /** Its number among the runtimes of the pool, from 0. */
  readonly slot: number;
  /** Absent: a new one. */
  readonly id?: RuntimeId;
  readonly onLog: (text: string) => void;
}

/**
 * Resolves when the plugin is ready. Throws `host_full` and `quota_memory` before anything is made; later
 * `start_crashed`, `start_interrupted`, `start_timeout`, `image_missing`, what the engine refused, or the signal's
 * reason, after it has undone the start.
 */
export async function launch(
  deps: LaunchDeps,
  { pool, slot, id = newRuntimeId(), onLog }: Launch,
  signal: AbortSignal,
): Promise<LiveRuntime> {
  const { store, folders, links, clock, log } = deps;
  const began = clock.now();
  const record = await createRow(deps, { pool, slot, id });
  let containerId: string | undefined;
  try {
    const folder = await folders.create(record.id);
    await links.open(record);
    const opened = clock.now();
    containerId = await deps.lanes.run(async () => {
      const identity = { instanceId: store.instanceId, runtimeId: record.id, slot, folder };
      const spec = containerSpec(pool, {
        identity: { ...identity, generation: record.generation },
        settings: deps.profile,
      });
      return await createAndStart(deps, spec, record, signal).catch(async (error: unknown) => {
        throw await nameMissingImage(deps, pool, error);
      });
    }, signal);
    const started = clock.now();
    onLog(`container ${record.containerName} started`);
    const until = clock.now() + deps.settings.startTimeoutMs;
    const live = { record, containerId, resources: liveResources(pool) };
    await settle(deps, live, { until, onLog, signal });
    log.info({
      op: "runtime.launch",
      ok: true,
      runtime: record.id,
      pool: pool.key,
      duration_ms: clock.now() - began,
      prepare_ms: opened - began,
      container_ms: started - opened,
      ready_ms: clock.now() - started,
    });
    return live;
  } catch (error) {
    log.warn({
      op: "runtime.launch",
      ok: false,
      runtime: record.id,
      pool: pool.key,
      code: toFault(error).code,
      duration_ms: clock.now() - began,
    });
    const isGivenUp = signal.aborted;
    if (!deps.lifetime.aborted) await undo(deps, { record, containerId, isGivenUp }, error);
    throw error;
  }
}

/** The engine says `not_found` for anything missing; a lost image gets a code of its own, because it can be rebuilt. */
async function nameMissingImage({ engine, lifetime }: LaunchDeps, pool: Pool, error: unknown) {
  if (!isFault(error, "not_found")) return error;
  if ((await engine.findImage(pool.imageRef, lifetime)) !== undefined) return error;
  return new Fault("image_missing", `The image ${pool.imageRef} is not on the engine.`, { cause: error });
}

/** Waits until a started container's plugin is ready, at most until `until`, and marks the row. Throws as `launch`. */
export async function settle(deps: LaunchDeps, live: LiveRuntime, limit: StartLimit): Promise<void> {
  deps.logs.follow({ ...live.record, containerId: live.containerId });
  const exit = await readyOrExit(deps, { id: live.record.id, containerId: live.containerId }, limit);
  if (exit !== undefined) throw await crashFault(deps, live, exit);
  await deps.store.runtimes.setState(live.record.id, "ready");
  void announce(deps.queue, TOPICS.changed, live.record.poolKey);
}

/** Removes what a failed start left. Its own failures are only logged, because the start's cause matters more. */
export async function undo(
  deps: LaunchDeps,
  {
    record,
    containerId,
    isGivenUp,
  }: {
    readonly record: RuntimeRecord;
    readonly containerId: string | undefined;
    /** The start was cancelled. */
    readonly isGivenUp: boolean;
  },
  cause: unknown,
): Promise<void> {
  const idOrName = containerId ?? record.containerName;
  const never = new AbortController().signal;
  const steps: readonly (() => Promise<unknown>)[] = [
    () => deps.engine.removeContainer(idOrName, never),
    () => deps.logs.finish(record.id, deps.settings.startCheckMs),
    () => deps.store.runtimes.end(record.id, startEnd(toFault(cause), isGivenUp)),
    () => deps.links.close(record.id),
    () => deps.folders.remove(record.id),
  ];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      if (!isFault(error, "not_found")) {
        deps.log.warn({ op: "runtime.undo", ok: false, runtime: record.id, err: toFault(error) });
      }
    }
  }
  void announce(deps.queue, TOPICS.changed, record.poolKey);
}

async function createRow(
  { store, profile, queue, settings }: LaunchDeps,
  { pool, slot, id }: Pick<Launch, "pool" | "slot"> & Pick<RuntimeRecord, "id">,
): Promise<RuntimeRecord> {
  const { instanceId } = store;
  const generation = await store.runtimes.nextGeneration(pool.key);
  const runtime = {
    id,
    poolKey: pool.key,
    slot,
    generation,
    containerName: containerName({ instanceId, poolKey: pool.key, slot, generation }),
    specHash: profileHash(pool, { instanceId, settings: profile }),
    tenantId: pool.tenantId,
    pluginId: pool.pluginId,
    identifier: pool.identifier,
  };
  const record = await store.runtimes.create(runtime, {
    memoryBytes: liveResources(pool).memoryBytes,
    budgetBytes: settings.hostMemoryBytes,
  });
  void announce(queue, TOPICS.changed, pool.key);
  return record;
}

async function createAndStart(
  deps: LaunchDeps,
  spec: ContainerSpec,
  record: RuntimeRecord,
  signal: AbortSignal,
): Promise<string> {
  const id = await create(deps.engine, spec, signal);
  // Both at once: the row only helps the next keeper to find the container faster than by its name.
  await Promise.all([
    deps.store.runtimes.setContainer(record.id, id),
    deps.engine.startContainer(id, signal),
  ]);
  return id;
}

/** A taken name is our own create whose answer was lost, unless the labels differ: then that container is replaced. */
async function create(engine: Engine, spec: ContainerSpec, signal: AbortSignal): Promise<string> {
  try {
    return await engine.createContainer(spec, signal);
  } catch (error) {
    if (!isFault(error, "conflict")) throw error;
    const found = await engine.findContainer(spec.name, signal);
    if (found === undefined) throw error;
    const [theirs, ours] = [parseLabels(found.labels), parseLabels(spec.labels)];
    if (theirs !== undefined && theirs.instance !== ours?.instance) throw error;
    if (theirs?.runtime === ours?.runtime && theirs?.specHash === ours?.specHash) return found.id;
    await engine.removeContainer(found.id, signal);
    return await engine.createContainer(spec, signal);
  }
}

/** Waits until the runner has ended too: only then the engine has the memory flag and the whole log. */
async function crashFault(deps: LaunchDeps, live: LiveRuntime, reported: RuntimeExit): Promise<Fault> {
  const { engine, clock, settings, engineHistory } = deps;
  const state = await waitStopped({ engine, clock }, live.containerId, settings.startCheckMs);
  const exit = exitOf(reported, state);
  const outside =
    engineHistory.explain(live.containerId, clock.now(), state) ??
    (state === undefined ? "ended_outside" : undefined);
  if (outside !== undefined && !exit.oom) return startInterrupted(outside);
  const lines = await lastLines(deps, live.containerId, settings.logLinesKept);
  return startCrashed(exit, lines, live.record.pluginId ?? "author/name");
}

const STOP_LOOK_MS = 50;

/** The container's state when it has ended, or as it is after `timeoutMs`. */
export async function waitStopped(
  { engine, clock }: { readonly engine: Pick<Engine, "findContainer">; readonly clock: Clock },
  containerId: string,
  timeoutMs: number,
) {
  const never = new AbortController().signal;
  for (const until = clock.now() + timeoutMs; ; ) {
    const state = await engine.findContainer(containerId, never);
    if (state === undefined || state.phase !== "running" || clock.now() >= until) return state;
    await clock.sleep(STOP_LOOK_MS, never);
  }
}
