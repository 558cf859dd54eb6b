/**
 * Runs one task to its end, on whichever worker gets it. The row's lease lets one worker in and its attempt fences
 * what a stale one would write; the worker may die at any line of this, and the next one walks the same way again.
 */
import { Fault, type FaultCode, formatFault, toFault } from "../../domain/fault.ts";
import type { TaskId } from "../../domain/ids.ts";
import {
  type InstallationTask,
  isTenantTask,
  TASK_STEPS,
  type Task,
  type TaskStep,
  type TenantTask,
} from "../../domain/task.ts";
import type { Log } from "../../observe/log.ts";
import type { JobHandlers } from "../../queue/queue.ts";
import type { TenantStorage } from "../../storage/tenant-storage.ts";
import { backoffMs } from "../../util/backoff.ts";
import { serveUnit } from "../../util/serving.ts";
import { waitOrAbort } from "../../util/wait.ts";
import { runBatch } from "../batch/batch-steps.ts";
import { runBundle } from "../dependencies/bundle.ts";
import {
  type ChangeStepDeps,
  runDisable,
  runEnable,
  runRestart,
  runRollback,
  runUpgrade,
} from "../steps/changes.ts";

import { type FetchStepDeps, runFetch } from "../steps/fetch.ts";
import { runInstall, type StepContext } from "../steps/install.ts";
import { runLimits } from "../steps/limits.ts";
import { runRemoveTenant } from "../steps/remove-tenant.ts";

import { cancelled, runUninstall } from "../steps/uninstall.ts";
import { explain, TaskJournal } from "./task-journal.ts";
import { releaseLease, WaitsFor, wakeWaiters } from "./task-waits.ts";
import { announceChange, taskTopic } from "./topics.ts";

import { underLease } from "./under-lease.ts";
import { undoTask } from "./undo-task.ts";
import { whileWanted } from "./while-wanted.ts";

export interface TaskRunnerSettings {
  readonly leaseMs: number;
  /** How often a running task looks whether its Installation was removed, or another's build has ended. */
  readonly pollMs: number;
  /** How often causes that may pass are tried again, and the delays in between. */
  readonly retriesMax: number;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  /** After so long a task that waits for others looks again, whatever it was told. */
  readonly waitCheckMs: number;
  readonly eventBatchMs: number;
  readonly logBytesMax: number;
  readonly logLineCharsMax: number;
}

export const TASK_RUNNER_DEFAULTS: TaskRunnerSettings = Object.freeze({
  leaseMs: 15_000,
  pollMs: 1_000,
  retriesMax: 5,
  retryFirstMs: 2_000,
  retryMaxMs: 60_000,
  waitCheckMs: 60_000,
  eventBatchMs: 200,
  logBytesMax: 256 * 1024,
  logLineCharsMax: 4_000,
});

export interface TaskRunnerDeps extends ChangeStepDeps, FetchStepDeps {
  readonly log: Log;
  /** Names this process among those that use the database. */
  readonly worker: string;
  readonly tasks: TaskRunnerSettings;
  readonly storage: TenantStorage;
  readonly dataFolder: string;
}

type Ending = "ready" | "failed" | "cancelled" | "retry" | "waits" | "lost" | "released";

/**
 * The handler of `task.run`. Resolves when the task has ended, waits for a retry, or is another's; rejects only where
 * the Store cannot be asked, and then the sweeper brings the task back.
 */
export function createTaskHandler(deps: TaskRunnerDeps): JobHandlers["task.run"] {
  return async ({ taskId }, signal) => {
    const { store, tasks, worker } = deps;
    const task = await store.tasks.claim(taskId, worker, tasks.leaseMs);
    if (task === undefined) return;
    const startedAt = deps.clock.now();
    const outcome = await runClaimed(deps, task, signal);
    logEnd(deps, task, { ...outcome, durationMs: deps.clock.now() - startedAt });
    await deps.queue.publish(taskTopic(taskId), outcome.ending).catch(() => undefined);
    if (!isTenantTask(task)) await announceChange(deps, { id: task.installationId });
    await wakeWaiters(deps, taskId);
  };
}

interface Outcome {
  readonly ending: Ending;
  readonly fault?: Fault;
}

async function runClaimed(deps: TaskRunnerDeps, task: Task, signal: AbortSignal): Promise<Outcome> {
  const { store, clock, tasks } = deps;
  const journal = journalOf(deps, task);
  const renew = () => store.tasks.renew(task.id, task.attempt, tasks.leaseMs);
  try {
    if (task.ending !== undefined) throw new Fault(task.ending.cause.code, task.ending.cause.message);
    await underLease({ clock, leaseMs: tasks.leaseMs, renew }, signal, async (held) => {
      const broken = new AbortController();
      const fields = { task_id: task.id, task: task.kind };
      const end = (error: unknown) => broken.abort(toFault(error));
      const both = AbortSignal.any([held, broken.signal]);
      // Of work that has lost a callback to an exception nobody knows whether it ends: it is not waited for.
      await serveUnit({ kind: "task", fields, end }, () =>
        waitOrAbort(walk(deps, task, journal, both), broken.signal),
      );
    });
    return { ending: "ready" };
  } catch (error) {
    return await endWith(deps, { task, journal, error }, signal);
  }
}

async function walk(
  deps: TaskRunnerDeps,
  task: Task,
  journal: TaskJournal,
  signal: AbortSignal,
): Promise<void> {
  const isRemoval = task.kind === "uninstall" || task.kind === "remove_tenant";
  const unlessCancelled = (work: (wanted: AbortSignal) => Promise<void>) =>
    isRemoval ? work(signal) : whileWanted({ ...deps, pollMs: deps.tasks.pollMs }, task, signal, work);
  let reached = (TASK_STEPS as readonly string[]).indexOf(task.state);
  const enterStep = (within: AbortSignal) => async (step: TaskStep) => {
    const place = TASK_STEPS.indexOf(step);
    const isNew = place > reached;
    reached = Math.max(reached, place);
    await enter(deps, { task, journal, step, isNew }, within);
  };
  if (isTenantTask(task)) {
    const runTask = (taskId: TaskId, held: AbortSignal) =>
      createTaskHandler(deps)({ taskId, attempt: 0 }, held);
    const steps = stepsOf(TENANT_STEPS, task.kind);
    await unlessCancelled((wanted) =>
      steps(deps, { task, journal, enter: enterStep(wanted), runTask }, wanted),
    );
    return;
  }
  const installation = await deps.store.installations.find(task.installationId);
  if (installation === undefined) throw cancelled();
  const context = { task, installation, journal, holder: `${deps.worker}/${task.id}/${task.attempt}` };
  const steps = stepsOf(INSTALLATION_STEPS, task.kind);
  await unlessCancelled((wanted) => steps(deps, { ...context, enter: enterStep(wanted) }, wanted));
}

export interface TenantStepContext {
  readonly task: TenantTask;
  readonly journal: TaskJournal;
  readonly enter: (step: TaskStep) => Promise<void>;
  /** Runs another task here and now, for a task that would otherwise wait for the queue. */
  readonly runTask: (taskId: TaskId, signal: AbortSignal) => Promise<void>;
}

type Steps<C> = (deps: TaskRunnerDeps, context: C, signal: AbortSignal) => Promise<void>;

const INSTALLATION_STEPS: Partial<Record<InstallationTask["kind"], Steps<StepContext>>> = {
  install: runInstall,
  uninstall: runUninstall,
  upgrade: runUpgrade,
  rollback: runRollback,
  restart: runRestart,
  enable: runEnable,
  disable: runDisable,
  limits: runLimits,
};

const TENANT_STEPS: Partial<Record<TenantTask["kind"], Steps<TenantStepContext>>> = {
  fetch: runFetch,
  bundle: runBundle,
  batch: runBatch,
  remove_tenant: (deps, { task, journal, runTask }, signal) =>
    runRemoveTenant({ ...deps, pollMs: deps.tasks.pollMs, runTask }, { task, journal }, signal),
};

/** A task of a later release than this worker's is not touched: it fails by name. */
function stepsOf<K extends string, S>(table: Partial<Record<K, S>>, kind: K): S {
  const steps = table[kind];
  if (steps === undefined) throw new Error(`this worker knows no task of the kind ${kind}`);
  return steps;
}

async function enter(
  { store, queue }: TaskRunnerDeps,
  { task, journal, step, isNew }: { task: Task; journal: TaskJournal; step: TaskStep; isNew: boolean },
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  await journal.flush();
  journal.step = step;
  if (!isNew) return;
  await store.tasks.setStep(task.id, task.attempt, step);
  void queue.publish(taskTopic(task.id), step).catch(() => undefined);
}

async function endWith(
  deps: TaskRunnerDeps,
  { task, journal, error }: { task: Task; journal: TaskJournal; error: unknown },
  signal: AbortSignal,
): Promise<Outcome> {
  const { store } = deps;
  const fault = toFault(error);
  try {
    if (fault.code === "lease_lost") return { ending: "lost", fault };
    await journal.flush();
    if (signal.aborted) {
      await store.tasks.release(task.id, task.attempt, 0);
      return { ending: "released", fault };
    }
    if (fault instanceof WaitsFor) return await wait(deps, task, { waits: fault, isEnding: false });
    const noted = task.ending ?? (await store.tasks.find(task.id))?.ending;
    const mayRetry = noted === undefined && fault.rule.retry;
    if (mayRetry && (await retryLater(deps, { task, journal, fault }))) return { ending: "retry", fault };
    const state = fault.code === "cancelled" ? "cancelled" : "failed";
    const ending = noted ?? { state, cause: explain(fault, journal) };
    const ended = await undoTask(deps, { task, journal, ending }).catch(asWaits);
    if (ended instanceof WaitsFor) return await wait(deps, task, { waits: ended, isEnding: true });
    return { ending: ended, fault };
  } catch (failure) {
    // The end could not be written: the lease runs out, and whoever claims the task then sees what there is.
    return { ending: "lost", fault: toFault(failure) };
  }
}

function asWaits(error: unknown): WaitsFor {
  if (error instanceof WaitsFor) return error;
  throw error;
}

async function wait(
  deps: TaskRunnerDeps,
  task: Task,
  how: { readonly waits: WaitsFor; readonly isEnding: boolean },
): Promise<Outcome> {
  await releaseLease(deps, { task, ...how, checkMs: deps.tasks.waitCheckMs });
  return { ending: "waits" };
}

/** Servers that are away come back, however long it takes: an accepted install waits. */
const WAITED_FOR: readonly FaultCode[] = ["package_store_unavailable"];

/** Answers whether there is another try: an install gives up after `retriesMax`, a removal never. */
async function retryLater(
  { store, tasks, clock }: TaskRunnerDeps,
  { task, journal, fault }: { task: Task; journal: TaskJournal; fault: Fault },
): Promise<boolean> {
  const retries = (await store.tasks.events(task.id, 0)).filter((event) => event.type === "retry");
  const counted = retries.filter(({ cause }) => !WAITED_FOR.includes(cause.code)).length;
  const isRemoval = task.kind === "uninstall" || task.kind === "remove_tenant";
  const isOver = !isRemoval && counted >= tasks.retriesMax;
  if (isOver && !WAITED_FOR.includes(fault.code)) return false;
  const growingMs = backoffMs(retries.length + 1, { firstMs: tasks.retryFirstMs, maxMs: tasks.retryMaxMs });
  const delayMs = Math.max(growingMs, askedMs(fault, clock.now()));
  await journal.record({ type: "retry", step: journal.step, cause: formatFault(fault), delayMs });
  await store.tasks.release(task.id, task.attempt, delayMs);
  return true;
}

/** A server that says when it may be asked again is not asked before. */
function askedMs({ details }: Fault, now: number): number {
  const at = typeof details["retry_at"] === "string" ? Date.parse(details["retry_at"]) : Number.NaN;
  return Number.isNaN(at) ? 0 : Math.ceil(at - now);
}

function journalOf({ store, queue, tasks }: TaskRunnerDeps, task: Task): TaskJournal {
  const step = TASK_STEPS.find((known) => known === task.state) ?? "queued";
  return new TaskJournal(step, {
    write: async (events) => {
      await store.tasks.append(task.id, task.attempt, events);
      void queue.publish(taskTopic(task.id), "events").catch(() => undefined);
    },
    batchMs: tasks.eventBatchMs,
    logBytesMax: tasks.logBytesMax,
    lineCharsMax: tasks.logLineCharsMax,
  });
}

function logEnd({ log }: TaskRunnerDeps, task: Task, outcome: Outcome & { durationMs: number }): void {
  const { ending, fault, durationMs } = outcome;
  const fields = {
    op: `task.${task.kind}`,
    ok: ending === "ready" || ending === "waits",
    ending,
    duration_ms: Math.round(durationMs),
    task_id: task.id satisfies TaskId,
    installation_id: task.installationId,
    tenant_id: task.tenantId,
    identifier: task.identifier,
    attempt: task.attempt,
    ...(fault === undefined ? {} : { code: fault.code, err: fault.cause ?? fault }),
  };
  log[fault === undefined ? "info" : fault.rule.log](fields);
}
