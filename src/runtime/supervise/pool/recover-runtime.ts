/**
 * Brings a runtime that another keeper left under supervision. What runs is never restarted here: a ready one serves on,
 * a start goes on where it was, an ended one is reaped, and the row of one without a container ends as `lost`.
 */
import type { RuntimeEnd, RuntimeRecord } from "../../../domain/runtime.ts";
import { type LiveRuntime, settle, undo } from "../../launch/launch.ts";
import { findRecovery, type Recovery } from "../recover.ts";
import { admit, supervise } from "./admit.ts";
import { drain } from "./drain.ts";
import type { PoolContext } from "./pool-context.ts";
import type { PoolStarts } from "./pool-starts.ts";
import { countFailure } from "./reap.ts";
import type { Replicas } from "./replicas.ts";

/** For one that has ended. Also if the engine does not report its limits: then all of them are set again. */
const NO_RESOURCES = { memoryBytes: 0, cpuMillis: 0, pidsMax: 0 };

type Found = Exclude<Recovery, { readonly action: "forget" }>;

export interface RecoveryParts {
  readonly context: PoolContext;
  readonly replicas: Replicas;
  readonly starts: PoolStarts;
  /** The pool is being removed: nothing starts any more. */
  readonly isRemoved: () => boolean;
}

/** Resolves when the runtime is supervised or its row has ended. Throws what store or engine refused: recover it again. */
export async function recoverRuntime(parts: RecoveryParts, record: RuntimeRecord): Promise<void> {
  const { context, replicas, isRemoved } = parts;
  const { store, engine, links, folders, logs, log, lifetime } = context.deps;
  const found = await findRecovery({ engine, instanceId: store.instanceId }, record, lifetime);
  const isStart = record.state === "starting" && (found.action === "adopt" || found.action === "start");
  // One start at a time: the end of the one in progress asks for the pass that recovers this one.
  if (isStart && replicas.startingId !== undefined && !isRemoved()) return;
  log.info({ op: "runtime.recover", ok: true, runtime: record.id, pool: context.key, ...found });
  if (found.action === "forget") return await forget(parts, record, found);
  const live = await liveOf(context, record, found);
  // An earlier keeper that ended while the container started has not written its id into the row.
  if (record.containerId !== found.containerId)
    await store.runtimes.setContainer(record.id, found.containerId);
  await folders.prepare(record.id);
  await links.open(record);
  logs.follow({ ...record, containerId: found.containerId });
  if (found.action === "reap") superviseEnded(context, live, found);
  else if (record.state !== "starting" || isRemoved()) {
    const runtime = admit(context, live, record.readyAt?.getTime());
    if (record.state === "draining") drain(context, runtime, "replaced");
  } else await continueStart(parts, live, found);
}

async function forget(
  { context, replicas }: RecoveryParts,
  record: RuntimeRecord,
  { wasRunning }: { readonly wasRunning: boolean },
): Promise<void> {
  const { store, links, folders } = context.deps;
  const end: RuntimeEnd = { reason: "lost", message: "Its container was gone." };
  await store.runtimes.end(record.id, end);
  await links.close(record.id);
  await folders.remove(record.id);
  if (!wasRunning || record.state === "draining") return;
  const ended = { id: record.id, end, logs: [] };
  const healthyForMs = context.restarts.healthyFor(record);
  await countFailure(context, replicas, { ended, slot: record.slot, healthyForMs });
}

/** Its row reserves what its container has, whatever the keeper before was about to change. */
async function liveOf({ deps }: PoolContext, record: RuntimeRecord, found: Found): Promise<LiveRuntime> {
  const { containerId } = found;
  if (found.action === "reap" || found.resources === undefined)
    return { record, containerId, resources: NO_RESOURCES };
  const { resources } = found;
  await deps.store.runtimes.reserve(record.id, resources.memoryBytes, undefined);
  return { record, containerId, resources };
}

/** The next step of the pass reaps it. */
function superviseEnded(
  context: PoolContext,
  live: LiveRuntime,
  { wasKilled }: { readonly wasKilled: boolean },
): void {
  const { readyAt, state } = live.record;
  const runtime = supervise(context, live, readyAt?.getTime() ?? context.deps.clock.now());
  // An end that a drain had begun is no failure.
  const begun = state === "draining" ? "replaced" : undefined;
  runtime.markFailed(begun ?? (wasKilled ? "lost" : undefined));
}

async function continueStart(
  { context, replicas, starts }: RecoveryParts,
  live: LiveRuntime,
  found: Found,
): Promise<void> {
  const { key, deps, runtimes, requests } = context;
  const { store, engine, clock, settings, lifetime } = deps;
  const start = async (signal: AbortSignal): Promise<LiveRuntime> => {
    try {
      if (found.action === "start") await engine.startContainer(found.containerId, signal);
      const onLog = (text: string) => requests.writeLog(text);
      await settle(deps, live, { until: clock.now() + settings.startTimeoutMs, onLog, signal });
      return live;
    } catch (error) {
      if (!lifetime.aborted) await undo(deps, { ...live, isGivenUp: signal.aborted }, error);
      throw error;
    }
  };
  if (runtimes.isServing && replicas.startingId === undefined)
    return replicas.startBeside(live.record, start);
  const pool = await store.pools.find(key);
  await starts.attempt({ isExplicit: requests.arePending(pool), pool }, start);
}
