/**
 * The tasks that the platform asked for and sees: rows of the daemon's `install_tasks`. The row decides whether the
 * platform sees a task, whatever becomes of the work; what it says while the work goes on is made from Berth's own tasks.
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
  /** What the platform is shown of them. */
  readonly shown: readonly InstallItem[];
  readonly by?: Actor | undefined;
}

/** How far a batch has come with one of its items. */
export interface BatchProgress {
  readonly identifier: string;
  readonly state: "pending" | "ready" | "failed";
  /** The task that is at it, or was. */
  readonly taskId: TaskId | undefined;
  readonly cause: FaultJson | undefined;
}

/** Which batch a worker writes to, and on which attempt: a stale one is refused with `lease_lost`. */
export interface BatchFence {
  readonly id: TaskId;
  readonly attempt: number;
  readonly identifier: string;
}

export interface PlatformTaskRows {
  /**
   * The acceptance: the `batch` task and the platform's row, which has its id, in one transaction. Asking twice makes
   * two. Throws `conflict` while the Tenant is being removed.
   */
  accept(request: AcceptBatch): Promise<TaskAccepted>;
  /** In the order in which they were asked for; none once the batch has ended. */
  progress(id: TaskId): Promise<readonly BatchProgress[]>;
  noteTask(batch: BatchFence, taskId: TaskId): Promise<void>;
  /** Without a cause: what was asked for is there. */
  noteEnd(batch: BatchFence, cause: FaultJson | undefined): Promise<void>;
  /** Newest first. */
  list(tenantId: TenantId, page: NumberedPage): Promise<readonly InstallTask[]>;
  /** Another Tenant's is as if it did not exist; so for all that follow. */
  find(tenantId: TenantId, id: TaskId): Promise<InstallTask | undefined>;
  /** From the platform's eyes; the work goes on. */
  remove(tenantId: TenantId, id: TaskId): Promise<void>;
  removeAll(tenantId: TenantId): Promise<void>;
  /** The task goes with it where all that is left has succeeded. */
  removeItem(tenantId: TenantId, id: TaskId, identifier: string): Promise<void>;
  /** Rows that nobody works at any more, a daemon's, end as failed; answers how many. */
  endAbandoned(): Promise<number>;
  /** Removes those that have succeeded so long ago; answers how many. */
  purge(succeededMs: number): Promise<number>;
}
