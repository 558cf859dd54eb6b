import type { Actor } from "../../domain/audit.ts";
import type { FaultJson } from "../../domain/fault.ts";
import type { InstallationId, TaskId, TenantId } from "../../domain/ids.ts";
import type {
  Task,
  TaskEnding,
  TaskEvent,
  TaskEventData,
  TaskKind,
  TaskState,
  TenantTask,
} from "../../domain/task.ts";
import type { IdempotencyClaim, Page, PageRequest } from "./answers.ts";

/** A request for work on a tenant, or on what is not an installation yet. */
export interface AcceptTask {
  readonly kind: Exclude<TenantTask["kind"], "remove_tenant">;
  readonly tenantId: TenantId;
  /** Two unfinished tasks of a tenant never have the same kind and the same input. */
  readonly input: Task["input"];
  readonly identifier?: string;
  readonly parentId?: TaskId;
  readonly idempotency?: IdempotencyClaim;
  readonly by?: Actor;
}
export interface TaskAccepted {
  readonly task: TenantTask;
  readonly created: boolean;
}

export interface ClaimableTask {
  readonly id: TaskId;
  readonly kind: TaskKind;
  readonly attempt: number;
  /** How long it has been claimable. */
  readonly waitedMs: number;
}

export interface TaskRows {
  /**
   * Accepts a task of a tenant. Repeated while that is unfinished, it returns the same task; idempotency as with
   * `acceptInstall`. Throws `conflict` while the tenant is being removed.
   */
  accept(request: AcceptTask): Promise<TaskAccepted>;
  /** The tasks below a task, oldest first. */
  children(id: TaskId): Promise<readonly Task[]>;
  find(id: TaskId): Promise<Task | undefined>;
  latestOf(installationId: InstallationId): Promise<Task | undefined>;
  list(
    filter: { tenantId: TenantId; installationId?: InstallationId },
    page: PageRequest,
  ): Promise<Page<Task>>;
  /**
   * Takes the lease of an unfinished task; undefined where it has ended, where its delay is not over, and while anyone has
   * the lease, this holder included: a job that is delivered twice runs once.
   */
  claim(id: TaskId, holder: string, leaseMs: number): Promise<Task | undefined>;
  renew(id: TaskId, attempt: number, leaseMs: number): Promise<void>;
  /** Releases the lease: anyone may claim the task after `delayMs`. */
  release(id: TaskId, attempt: number, delayMs: number): Promise<void>;
  /**
   * Releases the lease until all of the tasks `on` are `ready`, or one ended otherwise, or `delayMs` are over; their ends
   * make it claimable in their own transactions. False where it is claimable at once: one had ended already, or the task
   * itself was cancelled and its holder did not know (`isEnding`).
   */
  wait(
    id: TaskId,
    attempt: number,
    how: { readonly on: readonly TaskId[]; readonly delayMs: number; readonly isEnding: boolean },
  ): Promise<boolean>;
  /** Tasks that waited for this one and may be claimed now. */
  waiters(id: TaskId): Promise<readonly { readonly id: TaskId; readonly attempt: number }[]>;
  /**
   * Cancels an unfinished task: its worker stops, undoes its work and ends it as cancelled. A repetition changes nothing.
   * Throws `task_not_found`, and `conflict` for a removal and for a task that ended otherwise.
   */
  cancel(id: TaskId, by?: Actor): Promise<Task>;
  /** Records how the task will end once its work is undone. The first ending counts; answers that. */
  setEnding(id: TaskId, attempt: number, ending: TaskEnding): Promise<TaskEnding>;
  /** Moves the task to the step and writes its event. */
  setStep(id: TaskId, attempt: number, step: TaskState): Promise<void>;
  append(id: TaskId, attempt: number, events: readonly TaskEventData[]): Promise<void>;
  /** Ends a tenant's task `ready`. */
  finishReady(id: TaskId, attempt: number): Promise<void>;
  /** Records the package of a fetch, once that is stored. */
  setIdentifier(id: TaskId, attempt: number, identifier: string): Promise<void>;
  /** Ends the task, writes the `end` event, and with `markInstallation` marks its installation `failed`. */
  finish(
    id: TaskId,
    attempt: number,
    end: { state: "failed" | "cancelled"; cause: FaultJson; markInstallation: boolean },
  ): Promise<void>;
  events(id: TaskId, afterSeq: number): Promise<readonly TaskEvent[]>;
  /** Claimable tasks for the sweeper: unfinished, without a valid lease, their delay over. */
  listClaimable(limit: number): Promise<readonly ClaimableTask[]>;
}
