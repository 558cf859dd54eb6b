/** How a run of a task ends that threw: retried, waiting, released, or undone and ended. */
import { type Fault, toFault } from "../../domain/fault.ts";
import type { Task } from "../../domain/task.ts";
import { retryLater } from "./retry-later.ts";
import type { TaskRunnerDeps } from "./runner-deps.ts";
import type { Steps } from "./steps.ts";
import { explain, type TaskJournal } from "./task-journal.ts";
import { releaseLease, WaitsFor } from "./task-waits.ts";

export interface Outcome {
  /** `waits` and `retry`: it runs again later. `released`, `lost`: another worker goes on with it. */
  readonly ending: "ready" | "failed" | "cancelled" | "retry" | "waits" | "lost" | "released";
  readonly fault?: Fault;
}

interface FailedRun {
  readonly task: Task;
  readonly steps: Steps;
  readonly journal: TaskJournal;
  /** What the steps threw. */
  readonly error: unknown;
}

/** Resolves once the lease is released or the task has ended; never rejects. */
export async function endTask(
  deps: TaskRunnerDeps,
  { task, steps, journal, error }: FailedRun,
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
    const { isRemoval } = steps;
    if (mayRetry && (await retryLater(deps, { task, journal, isRemoval, fault })))
      return { ending: "retry", fault };
    const state = fault.code === "cancelled" ? "cancelled" : "failed";
    const ending = noted ?? { state, cause: explain(fault, journal) };
    const ended = await steps.undo({ task, journal, ending }).catch(asWaits);
    if (ended instanceof WaitsFor) return await wait(deps, task, { waits: ended, isEnding: true });
    return { ending: ended, fault };
  } catch (failure) {
    // The end could not be written: the lease expires, and the worker that claims the task next reads the rows again.
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
