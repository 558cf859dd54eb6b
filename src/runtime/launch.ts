/**
 * One start of one Runtime: row, folder, link, Container, then the plugin's first heartbeat. A start that fails
 * leaves nothing but its ended row and its log; one that is cut short because this process ends leaves all as it is,
 * for the next keeper to take over.
 */
import type { ContainerSpec } from "../domain/container.ts";
import { Fault, isFault, toFault } from "../domain/fault.ts";
import type { Pool, RuntimeEnd, RuntimeRecord } from "../domain/runtime.ts";
import type { Engine } from "../engine/engine.ts";
import { parseLabels } from "../engine/labels.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";
import type { RuntimeExit } from "../transport/transport.ts";
import type { Clock } from "../util/clock.ts";
import { type Announcer, announce, TOPICS } from "./announce.ts";
import { endOf, exitOf, lastLines, startCrashed } from "./exit-cause.ts";
import type { RuntimeFolders } from "./folder.ts";
import type { Lanes } from "./lanes.ts";
import type { RuntimeLinks } from "./links.ts";
import type { LogKeeper } from "./logs/log-keeper.ts";
import { containerName, containerSpec, profileHash } from "./profile.ts";
import { newRuntimeId } from "./runtime-id.ts";
import type { LaunchSettings, ProfileSettings } from "./settings.ts";
import { waitFor } from "./wait-for.ts";

export interface LaunchDeps {
  readonly store: Pick<Store, "instanceId" | "runtimes">;
  readonly engine: Engine;
  readonly links: RuntimeLinks;
  readonly folders: RuntimeFolders;
  readonly logs: LogKeeper;
  readonly queue: Announcer;
  readonly lanes: Lanes;
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
}

const SLOT = 0;

/** Resolves when the plugin is ready. Throws `start_crashed`, `start_timeout`, what the Engine refused, or the signal's reason. */
export async function launch(
  deps: LaunchDeps,
  { pool, onLog }: { readonly pool: Pool; readonly onLog: (text: string) => void },
  signal: AbortSignal,
): Promise<LiveRuntime> {
  const { store, folders, links, clock, log } = deps;
  const began = clock.now();
  const record = await createRow(deps, pool);
  let containerId: string | undefined;
  try {
    const folder = await folders.prepare(record.id);
    await links.open(record);
    const opened = clock.now();
    containerId = await deps.lanes.run(async () => {
      signal.throwIfAborted();
      const identity = { instanceId: store.instanceId, runtimeId: record.id, slot: SLOT, folder };
      const spec = containerSpec(pool, {
        identity: { ...identity, generation: record.generation },
        settings: deps.profile,
      });
      return await createAndStart(deps, spec, record, signal).catch(async (error: unknown) => {
        throw await nameMissingImage(deps, pool, error);
      });
    });
    const started = clock.now();
    onLog(`container ${record.containerName} started`);
    const until = clock.now() + deps.settings.startTimeoutMs;
    await settle(deps, { record, containerId }, { until, signal });
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
    return { record, containerId };
  } catch (error) {
    log.warn({
      op: "runtime.launch",
      ok: false,
      runtime: record.id,
      pool: pool.key,
      code: toFault(error).code,
      duration_ms: clock.now() - began,
    });
    if (!deps.lifetime.aborted) await undo(deps, { record, containerId }, error);
    throw error;
  }
}

/** The Engine says `not_found` of whatever is missing: of a lost image something can be done. */
async function nameMissingImage({ engine, lifetime }: LaunchDeps, pool: Pool, error: unknown) {
  if (!isFault(error, "not_found")) return error;
  if ((await engine.findImage(pool.imageRef, lifetime)) !== undefined) return error;
  return new Fault("image_missing", `The image ${pool.imageRef} is not on the engine.`, { cause: error });
}

/** Waits until a started Container's plugin is ready, at the latest at `until`; marks the row. */
export async function settle(
  deps: LaunchDeps,
  live: LiveRuntime,
  limit: { readonly until: number; readonly signal: AbortSignal },
): Promise<void> {
  deps.logs.follow({ ...live.record, containerId: live.containerId });
  const exit = await readyOrExit(deps, live, limit);
  if (exit !== undefined) throw await crashFault(deps, live, exit);
  await deps.store.runtimes.setState(live.record.id, "ready");
  void announce(deps.queue, TOPICS.changed, live.record.poolKey);
}

/** Takes away what a failed start left. Its own failures are logged: the start's cause is what counts. */
export async function undo(
  deps: LaunchDeps,
  { record, containerId }: { readonly record: RuntimeRecord; readonly containerId: string | undefined },
  cause: unknown,
): Promise<void> {
  const idOrName = containerId ?? record.containerName;
  const never = new AbortController().signal;
  const steps: readonly (() => Promise<unknown>)[] = [
    () => deps.engine.removeContainer(idOrName, never),
    () => deps.logs.finish(record.id, deps.settings.startCheckMs),
    () => deps.store.runtimes.end(record.id, startEnd(cause)),
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

async function createRow({ store, profile, queue }: LaunchDeps, pool: Pool): Promise<RuntimeRecord> {
  const { instanceId } = store;
  const generation = await store.runtimes.nextGeneration(pool.key);
  const record = await store.runtimes.create({
    id: newRuntimeId(),
    poolKey: pool.key,
    slot: SLOT,
    generation,
    containerName: containerName({ instanceId, poolKey: pool.key, slot: SLOT, generation }),
    specHash: profileHash(pool, { instanceId, settings: profile }),
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
  { until, signal }: { readonly until: number; readonly signal: AbortSignal },
): Promise<RuntimeExit | undefined> {
  const { engine, links, clock, settings } = deps;
  const done = new AbortController();
  const both = AbortSignal.any([signal, done.signal]);
  const leftMs = Math.max(0, until - clock.now());
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
  const timeout = clock.sleep(leftMs, both).then(async (): Promise<never> => {
    const logs = await lastLines(deps, containerId, settings.logLinesKept);
    throw new Fault(
      "start_timeout",
      `The plugin did not become ready within ${settings.startTimeoutMs} ms.`,
      {
        details: { startTimeoutMs: settings.startTimeoutMs, logs },
      },
    );
  });
  const watch = watchExit({ engine, clock, everyMs: settings.startCheckMs }, containerId, both);
  try {
    return await Promise.race([word, timeout, watch]);
  } finally {
    done.abort(new Error("the start is decided"));
    await Promise.allSettled([word, timeout, watch]);
  }
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
  const { engine, clock, settings } = deps;
  const state = await waitStopped({ engine, clock }, live.containerId, settings.startCheckMs);
  const exit = exitOf(said, state);
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

function startEnd(cause: unknown): RuntimeEnd {
  const fault = toFault(cause);
  const { exitCode, oom } = fault.details;
  return {
    ...endOf({ exitCode: undefined, signal: undefined, oom: oom === true }, "start_failed"),
    ...(typeof exitCode === "number" ? { exitCode } : {}),
    message: fault.message,
  };
}
