/**
 * The tasks that the platform requests and sees: rows of the daemon's `install_tasks`. The row alone decides whether the
 * platform sees a task; while the work runs, its contents are made from Berth's own tasks.
 */
import type { Actor } from "../../domain/audit.ts";
import type { FaultJson } from "../../domain/fault.ts";
import type { TaskId, TenantId } from "../../domain/ids.ts";
import type { BatchItem, InstallItem, InstallTask } from "../../domain/install-task.ts";
import type { NumberedPage } from "./platform.ts";
import type { TaskAccepted } from "./tasks.ts";

export interface AcceptBatch {
  readonly tenantId: TenantId;
  /** Each identifier once. */
  readonly items: readonly BatchItem[];
  /** The items as the platform sees them. */
  readonly shown: readonly InstallItem[];
  readonly by?: Actor | undefined;
}

/** Progress of one item of a batch. */
export interface BatchProgress {
  readonly identifier: string;
  readonly state: "pending" | "ready" | "failed";
  /** The item's current or last task. */
  readonly taskId: TaskId | undefined;
  readonly cause: FaultJson | undefined;
}

/** The batch that a worker writes to, and its attempt: a stale one is refused with `lease_lost`. */
export interface BatchFence {
  readonly id: TaskId;
  readonly attempt: number;
  readonly identifier: string;
}

export interface PlatformTaskRows {
  /**
   * Accepts a batch: writes the `batch` task and the platform's row, with the same id, in one transaction. A repetition
   * makes another. Throws `conflict` while the tenant is being removed.
   */
  accept(request: AcceptBatch): Promise<TaskAccepted>;
  /** The items in the requested order; empty once the batch has ended. */
  progress(id: TaskId): Promise<readonly BatchProgress[]>;
  noteTask(batch: BatchFence, taskId: TaskId): Promise<void>;
  /** Records the end of an item; without a cause it succeeded. */
  noteEnd(batch: BatchFence, cause: FaultJson | undefined): Promise<void>;
  /** Newest first. */
  list(tenantId: TenantId, page: NumberedPage): Promise<readonly InstallTask[]>;
  /** Undefined for another tenant's; likewise in all methods below. */
  find(tenantId: TenantId, id: TaskId): Promise<InstallTask | undefined>;
  /** Removes the row that the platform sees; the work continues. */
  remove(tenantId: TenantId, id: TaskId): Promise<void>;
  removeAll(tenantId: TenantId): Promise<void>;
  /** Removes one item; the row goes with it where all others have succeeded. */
  removeItem(tenantId: TenantId, id: TaskId, identifier: string): Promise<void>;
  /** Ends as failed the rows that an earlier daemon left unfinished; answers how many. */
  endAbandoned(): Promise<number>;
  /** Removes rows that succeeded that long ago; answers how many. */
  purge(succeededMs: number): Promise<number>;
}
