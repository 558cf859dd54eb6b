/**
 * The worker's side of disk reports and collections: answers requests, and collects by itself where a budget is exceeded.
 * A lease lets one worker at a time do it; the next one repeats what a dead one had started.
 */
import { randomUUID } from "node:crypto";
import type { DiskCollection, DiskReport, Reclaimable } from "../../domain/disk.ts";
import { formatFault, isFault, toFault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { Queue } from "../../queue/queue.ts";
import type { DiskAnswer, DiskRun } from "../../store/contracts/disk.ts";
import type { Store } from "../../store/store.ts";
import { Bell } from "../../util/bell.ts";
import { type Clock, untilPoll } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import { DISK_TOPICS } from "../task-engine/topics.ts";
import { underLease } from "../task-engine/under-lease.ts";
import type { Area, Found } from "./area.ts";
import { describeArea, type Planned, plan, sum, toReclaimable } from "./plan.ts";

export interface DiskKeeperDeps {
  readonly store: Pick<Store, "disk" | "leases">;
  readonly queue: Pick<Queue, "publish" | "subscribe">;
  readonly areas: readonly Area[];
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: DiskKeeperSettings;
}

export interface DiskKeeperSettings {
  /** Period of collections without a request; 0: none. */
  readonly everyMs: number;
  /** How often requests are read where no notification arrives. */
  readonly pollMs: number;
  readonly leaseMs: number;
  /** Number of finished runs that are kept. */
  readonly runsKept: number;
}

const LEASE = "disk";

/** Resolves once it has subscribed. Disposing it aborts its current pass; another worker answers the requests then. */
export async function startDiskKeeper(deps: DiskKeeperDeps): Promise<AsyncDisposable> {
  const scope = new Scope();
  const bell = new Bell();
  const { clock, settings, log } = deps;
  scope.use(await deps.queue.subscribe(DISK_TOPICS.asked, () => bell.ring()));
  const outage = new Outage(log, "disk.pass");
  const running = (async () => {
    let dueAt = settings.everyMs === 0 ? Number.POSITIVE_INFINITY : clock.now() + settings.everyMs;
    while (!scope.signal.aborted) {
      await outage.run(async () => {
        const isDue = clock.now() >= dueAt;
        if ((await pass(deps, { isDue }, scope.signal)) && isDue) dueAt = clock.now() + settings.everyMs;
      });
      await bell
        .wait(clock, untilPoll({ clock, everyMs: settings.pollMs }), scope.signal)
        .catch(() => undefined);
    }
  })();
  scope.add(() => running);
  return scope;
}

/** False where another worker holds the lease. */
async function pass(
  deps: DiskKeeperDeps,
  { isDue }: { readonly isDue: boolean },
  signal: AbortSignal,
): Promise<boolean> {
  const { store, clock, settings } = deps;
  if (!isDue && (await store.disk.runs.listAsked()).length === 0) return true;
  const holder = randomUUID();
  const { leaseMs } = settings;
  if (!(await store.leases.take(LEASE, holder, leaseMs))) return false;
  try {
    const renew = () => store.leases.renew(LEASE, holder, leaseMs);
    await underLease({ clock, leaseMs, renew }, signal, async (held) => {
      await answerAll(deps, held);
      if (isDue) await makeRoom(deps, held);
    });
    return true;
  } catch (error) {
    if (signal.aborted || isFault(error, "lease_lost")) return false;
    throw error;
  } finally {
    await store.leases.release(LEASE, holder).catch(() => undefined);
  }
}

/** All reports, and all dry runs, that are requested by now share one answer; each collection has its own. */
async function answerAll(deps: DiskKeeperDeps, signal: AbortSignal): Promise<void> {
  const asked = await deps.store.disk.runs.listAsked();
  const byKind = Map.groupBy(asked, ({ kind }) => kind);
  for (const kind of ["report", "dry_run"] as const) {
    const runs = byKind.get(kind) ?? [];
    if (runs.length > 0) await answer(deps, runs, signal);
  }
  for (const run of byKind.get("collect") ?? []) await answer(deps, [run], signal);
}

async function answer(deps: DiskKeeperDeps, runs: readonly DiskRun[], signal: AbortSignal): Promise<void> {
  const { store, queue, settings } = deps;
  const result = await work(deps, runs[0]?.kind ?? "report", signal).catch((error: unknown): DiskAnswer => {
    // Not a failure of this request: the next worker answers it.
    signal.throwIfAborted();
    deps.log.warn({ op: "disk.answer", ok: false, err: toFault(error) });
    return { cause: formatFault(toFault(error)) };
  });
  for (const { id } of runs) {
    await store.disk.runs.finish(id, result, settings.runsKept).catch((error: unknown) => {
      if (!isFault(error, "lease_lost")) throw error;
    });
    await queue.publish(DISK_TOPICS.answered, id).catch(() => undefined);
  }
}

async function work(deps: DiskKeeperDeps, kind: DiskRun["kind"], signal: AbortSignal): Promise<DiskAnswer> {
  switch (kind) {
    case "report":
      return { report: await report(deps, signal) };
    case "dry_run":
      return { collection: await collect(deps, { dryRun: true, isAsked: true }, signal) };
    case "collect":
      return { collection: await collect(deps, { dryRun: false, isAsked: true }, signal) };
    default:
      return kind satisfies never;
  }
}

async function makeRoom(deps: DiskKeeperDeps, signal: AbortSignal): Promise<void> {
  const collection = await collect(deps, { dryRun: false, isAsked: false }, signal);
  if (collection.taken.length > 0) await deps.store.disk.runs.record(collection, deps.settings.runsKept);
}

async function report({ areas }: DiskKeeperDeps, signal: AbortSignal): Promise<DiskReport> {
  const described = [];
  for (const area of areas) described.push(describeArea(area, await area.survey(signal)));
  return { areas: described };
}

interface CollectOptions {
  readonly dryRun: boolean;
  readonly isAsked: boolean;
}

async function collect(
  deps: DiskKeeperDeps,
  options: CollectOptions,
  signal: AbortSignal,
): Promise<DiskCollection> {
  const { areas, clock, log } = deps;
  const startedAt = clock.now();
  const taken: Reclaimable[] = [];
  const left: Reclaimable[] = [];
  for (const area of areas) {
    const found = await area.survey(signal);
    const planned = plan(area, found, options);
    if (options.dryRun) taken.push(...planned.map((one) => toReclaimable(area, one)));
    else await takeAll(area, { found, planned, taken, left }, signal);
    warnOver(log, area, found, planned);
  }
  const bytes = sum(taken);
  if (taken.length + left.length > 0)
    log.info({
      op: "disk.collect",
      ok: left.length === 0,
      dry_run: options.dryRun,
      asked: options.isAsked,
      bytes,
      taken: taken.length,
      left: left.length,
      duration_ms: Math.round(clock.now() - startedAt),
    });
  return { dryRun: options.dryRun, bytes, taken, left };
}

interface Taking {
  readonly found: readonly Found[];
  readonly planned: readonly Planned[];
  readonly taken: Reclaimable[];
  readonly left: Reclaimable[];
}

async function takeAll(
  area: Area,
  { found, planned, taken, left }: Taking,
  signal: AbortSignal,
): Promise<void> {
  await area.noteNeeded?.(found);
  if (planned.length === 0) return;
  const leave = (one: Planned, reason: string) => left.push(toReclaimable(area, { ...one, reason }));
  const takeEach = async (held: AbortSignal) => {
    for (const one of planned) {
      held.throwIfAborted();
      const why = await area.take(one.found, held).catch((error: unknown) => reasonOf(error, held));
      if (why === undefined) taken.push(toReclaimable(area, one));
      else leave(one, why);
    }
  };
  if (area.hold === undefined) return await takeEach(signal);
  const why = await area.hold(takeEach, signal);
  if (why !== undefined) for (const one of planned) leave(one, why);
}

/** One thing that cannot be removed stops no other: the next pass tries it again. */
function reasonOf(error: unknown, signal: AbortSignal): string {
  signal.throwIfAborted();
  if (isFault(error)) return error.message;
  return error instanceof Error && "code" in error
    ? `it could not be removed (${String(error.code)})`
    : failed(error);
}

function failed(error: unknown): never {
  throw error;
}

function warnOver(
  log: Log,
  { kind, budgetBytes }: Area,
  found: readonly Found[],
  planned: readonly Planned[],
): void {
  const bytes = sum(found) - sum(planned.map((one) => one.found));
  if (budgetBytes === null || bytes <= budgetBytes) return;
  log.warn(
    { op: "disk.over_budget", kind, bytes, budget_bytes: budgetBytes },
    "over its budget, and everything that is left is in use",
  );
}
