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

/** Work on what is no Installation yet. */
export interface AcceptTask {
  readonly kind: Exclude<TenantTask["kind"], "remove_tenant">;
  readonly tenantId: TenantId;
  /** Two unfinished tasks of a Tenant never have the same kind and the same input. */
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
  /** For how long anybody might have claimed it. */
  readonly waitedMs: number;
}

export interface TaskRows {
  /**
   * The acceptance of work on a Tenant. The same while it is unfinished returns the task that is there; idempotency
   * as with `acceptInstall`. While the Tenant is being removed it is `conflict`.
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
   * Takes the lease of an unfinished task; undefined when it has ended, when it is not yet free to be claimed, or
   * while a lease stands, this holder's own included: one job delivered twice runs once.
   */
  claim(id: TaskId, holder: string, leaseMs: number): Promise<Task | undefined>;
  renew(id: TaskId, attempt: number, leaseMs: number): Promise<void>;
  /** Gives the lease back so that anybody may claim it after `delayMs`. */
  release(id: TaskId, attempt: number, delayMs: number): Promise<void>;
  /**
   * Gives the lease back until all of the tasks `on` have ended, or one of them not with `ready`, or `delayMs` are over;
   * their ends free it in their own transactions. False: it may be claimed at once, because one had ended already, or
   * because the end of the task itself was asked for and its holder did not know (`isEnding`).
   */
  wait(
    id: TaskId,
    attempt: number,
    how: { readonly on: readonly TaskId[]; readonly delayMs: number; readonly isEnding: boolean },
  ): Promise<boolean>;
  /** Those that waited for the task and may be claimed now. */
  waiters(id: TaskId): Promise<readonly { readonly id: TaskId; readonly attempt: number }[]>;
  /**
   * Asks for the end of an unfinished task: whoever has it stops, undoes what it has made and ends it as cancelled. A
   * repetition changes nothing. Throws `task_not_found`; `conflict` for a removal, and for what has ended otherwise.
   */
  cancel(id: TaskId, by?: Actor): Promise<Task>;
  /** Notes how the task will end once what it made is undone. The first one stands; answers that. */
  setEnding(id: TaskId, attempt: number, ending: TaskEnding): Promise<TaskEnding>;
  /** Moves the task to the step and writes its event. */
  setStep(id: TaskId, attempt: number, step: TaskState): Promise<void>;
  append(id: TaskId, attempt: number, events: readonly TaskEventData[]): Promise<void>;
  /** Ends a Tenant's task `ready`. */
  finishReady(id: TaskId, attempt: number): Promise<void>;
  /** Notes of which Package the task turned out to be, once that is kept. */
  setIdentifier(id: TaskId, attempt: number, identifier: string): Promise<void>;
  /** Ends it, writes the `end` event, and marks its Installation `failed` where `markInstallation` says so. */
  finish(
    id: TaskId,
    attempt: number,
    end: { state: "failed" | "cancelled"; cause: FaultJson; markInstallation: boolean },
  ): Promise<void>;
  events(id: TaskId, afterSeq: number): Promise<readonly TaskEvent[]>;
  /** Unfinished, not leased (or the lease has run out), free to be claimed: what a sweeper enqueues again. */
  listClaimable(limit: number): Promise<readonly ClaimableTask[]>;
}
