/**
 * One start of one Runtime: row, folder, link, Container, then the plugin's first heartbeat. A start that fails
 * leaves nothing but its ended row and its log; one that is cut short because this process ends leaves all as it is,
 * for the next keeper to take over.
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
import { waitFor } from "../../util/wait.ts";
import type { Host } from "../health/judge.ts";
import type { LogKeeper } from "../logs/log-keeper.ts";
import { type Announcer, announce, TOPICS } from "../reach/announce.ts";
import type { RuntimeLinks } from "../reach/runtime-links.ts";
import type { LaunchSettings, ProfileSettings } from "../settings.ts";
import type { EngineHistory } from "./engine-history.ts";
import { exitOf, lastLines, startCrashed, startEnd, startInterrupted } from "./exit-cause.ts";
import { containerName, containerSpec, liveResources, newRuntimeId, profileHash } from "./profile.ts";
import type { RuntimeFolders } from "./runtime-folders.ts";

export interface LaunchDeps {
  readonly store: Pick<Store, "instanceId" | "runtimes">;
  readonly engine: Engine;
  readonly links: RuntimeLinks;
  readonly folders: RuntimeFolders;
  readonly logs: LogKeeper;
  readonly queue: Announcer;
  /** Of Containers that are being created or started. */
  readonly lanes: Semaphore;
  readonly engineHistory: EngineHistory;
  /** Tells whether the host had time for a start. */
  readonly host: Host;
  readonly clock: Clock;
  readonly log: Log;
  readonly profile: ProfileSettings;
  readonly settings: LaunchSettings;
  /** Aborted when this process lets go of its Runtimes. */
  readonly lifetime: AbortSignal;
}

/** A Runtime with its Container. */
export interface LiveRuntime {
  readonly record: RuntimeRecord;
  readonly containerId: string;
  /** What the Engine grants its Container. */
  readonly resources: LiveResources;
}

export interface Launch {
  readonly pool: Pool;
  /** Its place among the Runtimes of the Pool, from 0. */
  readonly slot: number;
  /** Absent: a new one. */
  readonly id?: RuntimeId;
  readonly onLog: (text: string) => void;
}

/** Resolves when the plugin is ready. Throws `host_full` before anything is made, `start_crashed`, `start_timeout`, what the Engine refused, or the signal's reason. */
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

/** The Engine says `not_found` of whatever is missing: of a lost image something can be done. */
async function nameMissingImage({ engine, lifetime }: LaunchDeps, pool: Pool, error: unknown) {
  if (!isFault(error, "not_found")) return error;
  if ((await engine.findImage(pool.imageRef, lifetime)) !== undefined) return error;
  return new Fault("image_missing", `The image ${pool.imageRef} is not on the engine.`, { cause: error });
}

export interface StartLimit {
  /** Later where the host has no time for the start: `startTimeoutBusyMs`. */
  readonly until: number;
  readonly onLog: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Waits until a started Container's plugin is ready, at the latest at `until`; marks the row. */
export async function settle(deps: LaunchDeps, live: LiveRuntime, limit: StartLimit): Promise<void> {
  deps.logs.follow({ ...live.record, containerId: live.containerId });
  const exit = await readyOrExit(deps, live, limit);
  if (exit !== undefined) throw await crashFault(deps, live, exit);
  await deps.store.runtimes.setState(live.record.id, "ready");
  void announce(deps.queue, TOPICS.changed, live.record.poolKey);
}

/** Takes away what a failed start left. Its own failures are logged: the start's cause is what counts. */
export async function undo(
  deps: LaunchDeps,
  {
    record,
    containerId,
    isGivenUp,
  }: {
    readonly record: RuntimeRecord;
    readonly containerId: string | undefined;
    /** Nobody waits for the start any more. */
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
  // Both at once: the row only tells the next keeper faster what the Container's name tells it too.
  await Promise.all([
    deps.store.runtimes.setContainer(record.id, id),
    deps.engine.startContainer(id, signal),
  ]);
  return id;
}

/** A taken name is our own create whose answer was lost, unless the labels say otherwise: then it is replaced. */
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

/** Undefined: ready. The Engine is asked as well, because a runner that never came up reports nothing. */
async function readyOrExit(
  deps: LaunchDeps,
  { record, containerId }: LiveRuntime,
  limit: StartLimit,
): Promise<RuntimeExit | undefined> {
  const { engine, links, clock, settings } = deps;
  const done = new AbortController();
  const both = AbortSignal.any([limit.signal, done.signal]);
  const word = waitFor<{ exit: RuntimeExit | undefined }>(
    {
      look: () => {
        const exit = links.exitOf(record.id);
        if (exit !== undefined) return { exit };
        return links.find(record.id)?.link.ready === true ? { exit: undefined } : undefined;
      },
      subscribe: (listener) => links.onEvent(listener),
    },
    both,
  ).then(({ exit }) => exit);
  const timeout = untilLate(deps, { ...limit, signal: both }).then(async (spared): Promise<never> => {
    throw startTimedOut(settings, spared, await lastLines(deps, containerId, settings.logLinesKept));
  });
  const watch = watchExit({ engine, clock, everyMs: settings.startCheckMs }, containerId, both);
  try {
    return await Promise.race([word, timeout, watch]);
  } finally {
    done.abort(new Error("the start is decided"));
    await Promise.allSettled([word, timeout, watch]);
  }
}

/** Time that was given beyond the limit, and why. */
interface Spared {
  readonly ms: number;
  readonly why: string | undefined;
}

/** Resolves when the start has had its time. What the host took from it does not count, up to a bound. */
async function untilLate(deps: LaunchDeps, { until, onLog, signal }: StartLimit): Promise<Spared> {
  const { clock, host, settings } = deps;
  const spareMaxMs = settings.startTimeoutBusyMs - settings.startTimeoutMs;
  let spared: Spared = { ms: 0, why: undefined };
  for (let leftMs = until - clock.now(); leftMs > 0; ) {
    const from = clock.now();
    const sliceMs = Math.min(leftMs, settings.startCheckMs);
    await clock.sleep(sliceMs, signal);
    const why = spared.ms < spareMaxMs ? host.explain(from, clock.now()) : undefined;
    if (why === undefined) {
      leftMs -= sliceMs;
      continue;
    }
    if (spared.ms === 0)
      onLog(`the host is busy: the start gets up to ${spareMaxMs} ms more, because ${why}`);
    spared = { ms: spared.ms + sliceMs, why };
  }
  return spared;
}

function startTimedOut(
  { startTimeoutMs }: LaunchSettings,
  { ms, why }: Spared,
  logs: readonly string[],
): Fault {
  const more = why === undefined ? "" : `, and ${ms} ms more that it got because ${why}`;
  return new Fault("start_timeout", `The plugin did not become ready within ${startTimeoutMs} ms${more}.`, {
    details: { startTimeoutMs, moreMs: ms, logs },
  });
}

async function watchExit(
  { engine, clock, everyMs }: { readonly engine: Engine; readonly clock: Clock; readonly everyMs: number },
  containerId: string,
  signal: AbortSignal,
): Promise<RuntimeExit> {
  for (;;) {
    await clock.sleep(everyMs, signal);
    const state = await look(engine, containerId, signal);
    if (state !== "unknown" && (state === undefined || state.phase === "exited" || state.phase === "dead")) {
      return exitOf(undefined, state);
    }
  }
}

/** An Engine that is away for a moment fails no start. */
async function look(engine: Engine, containerId: string, signal: AbortSignal) {
  try {
    return await engine.findContainer(containerId, signal);
  } catch (error) {
    if (isFault(error, "engine_unavailable")) return "unknown";
    throw error;
  }
}

/** The runner leaves soon after its plugin; only then the Engine's flag and the whole log are there. */
async function crashFault(deps: LaunchDeps, live: LiveRuntime, said: RuntimeExit): Promise<Fault> {
  const { engine, clock, settings, engineHistory } = deps;
  const state = await waitStopped({ engine, clock }, live.containerId, settings.startCheckMs);
  const exit = exitOf(said, state);
  const outside =
    engineHistory.explain(live.containerId, clock.now(), state) ??
    (state === undefined ? "ended_outside" : undefined);
  if (outside !== undefined && !exit.oom) return startInterrupted(outside);
  return startCrashed(exit, await lastLines(deps, live.containerId, settings.logLinesKept));
}

const STOP_LOOK_MS = 50;

/** The Container's state once it stands still, or as it is after `timeoutMs`. */
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
