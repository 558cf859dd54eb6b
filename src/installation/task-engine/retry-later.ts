import { type Fault, type FaultCode, formatFault } from "../../domain/fault.ts";
import type { Task } from "../../domain/task.ts";
import type { Store } from "../../store/store.ts";
import { backoffMs } from "../../util/backoff.ts";
import type { Clock } from "../../util/clock.ts";
import type { TaskRunnerSettings } from "./runner-deps.ts";
import type { TaskJournal } from "./task-journal.ts";

/** A package store that is away comes back, however long it takes: an accepted install waits for it. */
const RETRIED_WITHOUT_LIMIT: readonly FaultCode[] = ["package_store_unavailable"];

export interface RetryDeps {
  readonly store: Pick<Store, "tasks">;
  readonly clock: Clock;
  readonly tasks: Pick<TaskRunnerSettings, "retriesMax" | "retryFirstMs" | "retryMaxMs">;
}

/**
 * Records a retry of a cause that may pass, and releases the lease for its delay. Answers false where there is no other
 * try: after `retriesMax` of them, unless the task is a removal, which is retried until it succeeds.
 */
export async function retryLater(
  { store, tasks, clock }: RetryDeps,
  {
    task,
    journal,
    isRemoval,
    fault,
  }: {
    readonly task: Task;
    readonly journal: TaskJournal;
    readonly isRemoval: boolean;
    readonly fault: Fault;
  },
): Promise<boolean> {
  const retries = (await store.tasks.events(task.id, 0)).filter((event) => event.type === "retry");
  const counted = retries.filter(({ cause }) => !RETRIED_WITHOUT_LIMIT.includes(cause.code)).length;
  const isOver = !isRemoval && counted >= tasks.retriesMax;
  if (isOver && !RETRIED_WITHOUT_LIMIT.includes(fault.code)) return false;
  const growingMs = backoffMs(retries.length + 1, { firstMs: tasks.retryFirstMs, maxMs: tasks.retryMaxMs });
  const delayMs = Math.max(growingMs, askedMs(fault, clock.now()));
  await journal.record({ type: "retry", step: journal.step, cause: formatFault(fault), delayMs });
  await store.tasks.release(task.id, task.attempt, delayMs);
  return true;
}

/** A server that names the time of the next request (`retry_at`) gets none before it. */
function askedMs({ details }: Fault, now: number): number {
  const at = typeof details["retry_at"] === "string" ? Date.parse(details["retry_at"]) : Number.NaN;
  return Number.isNaN(at) ? 0 : Math.ceil(at - now);
}
