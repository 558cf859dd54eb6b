/**
 * Runs one task to its end, on whichever worker takes its job. The lease on the task's row lets one worker in, and its
 * attempt makes the database refuse what a worker writes that has lost it. A worker may die at any line of this: the
 * next one runs the same steps from the start.
 */
import { Fault, toFault } from "../../domain/fault.ts";
import type { TaskId } from "../../domain/ids.ts";
import { isTenantTask, TASK_STEPS, type Task, type TaskStep } from "../../domain/task.ts";
import type { JobHandlers } from "../../queue/queue.ts";
import { serveUnit } from "../../util/serving.ts";
import { waitOrAbort } from "../../util/wait.ts";
import { endTask, type Outcome } from "./end-task.ts";
import type { TaskRunnerDeps } from "./runner-deps.ts";
import type { Steps } from "./steps.ts";
import { TaskJournal } from "./task-journal.ts";
import { wakeWaiters } from "./task-waits.ts";
import { announceChange, taskTopic } from "./topics.ts";
import { underLease } from "./under-lease.ts";
import { whileWanted } from "./while-wanted.ts";

/**
 * The handler of `task.run`. Resolves when the task has ended, waits for a retry, or is another worker's; rejects only
 * where the store does not answer, and then the sweeper enqueues the task again.
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

/** What one run of a task is made of. */
interface TaskRun {
  readonly task: Task;
  readonly steps: Steps;
  readonly journal: TaskJournal;
}

async function runClaimed(deps: TaskRunnerDeps, task: Task, signal: AbortSignal): Promise<Outcome> {
  const { store, clock, tasks } = deps;
  const run = { task, steps: stepsOf(deps, task), journal: journalOf(deps, task) };
  const renew = () => store.tasks.renew(task.id, task.attempt, tasks.leaseMs);
  try {
    if (task.ending !== undefined) throw new Fault(task.ending.cause.code, task.ending.cause.message);
    await underLease({ clock, leaseMs: tasks.leaseMs, renew }, signal, async (held) => {
      const broken = new AbortController();
      const fields = { task_id: task.id, task: task.kind };
      const end = (error: unknown) => broken.abort(toFault(error));
      const both = AbortSignal.any([held, broken.signal]);
      // Work that has lost a callback to an uncaught exception may never end: nothing waits for it.
      await serveUnit({ kind: "task", fields, end }, () =>
        waitOrAbort(runSteps(deps, run, both), broken.signal),
      );
    });
    return { ending: "ready" };
  } catch (error) {
    return await endTask(deps, { ...run, error }, signal);
  }
}

function stepsOf({ steps }: TaskRunnerDeps, { kind }: Task): Steps {
  return Object.hasOwn(steps, kind) ? steps[kind] : steps.unknown;
}

async function runSteps(
  deps: TaskRunnerDeps,
  { task, steps, journal }: TaskRun,
  signal: AbortSignal,
): Promise<void> {
  let reached = (TASK_STEPS as readonly string[]).indexOf(task.state);
  const work = async (wanted: AbortSignal) => {
    const enter = async (step: TaskStep) => {
      const place = TASK_STEPS.indexOf(step);
      const isNew = place > reached;
      reached = Math.max(reached, place);
      await enterStep(deps, { task, journal, step, isNew }, wanted);
    };
    const runTask = (taskId: TaskId, held: AbortSignal) =>
      createTaskHandler(deps)({ taskId, attempt: 0 }, held);
    const holder = `${deps.worker}/${task.id}/${task.attempt}`;
    await steps.run({ task, journal, holder, enter, runTask }, wanted);
  };
  if (steps.isRemoval) await work(signal);
  else await whileWanted({ ...deps, pollMs: deps.tasks.pollMs }, task, signal, work);
}

async function enterStep(
  { store, queue }: TaskRunnerDeps,
  { task, journal, step, isNew }: Omit<TaskRun, "steps"> & { step: TaskStep; isNew: boolean },
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  await journal.flush();
  journal.step = step;
  if (!isNew) return;
  await store.tasks.setStep(task.id, task.attempt, step);
  void queue.publish(taskTopic(task.id), step).catch(() => undefined);
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
