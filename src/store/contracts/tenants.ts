import type { Actor } from "../../domain/audit.ts";
import type { TaskId, TenantId } from "../../domain/ids.ts";
import type { InstallationState } from "../../domain/installation.ts";
import type { TenantTask } from "../../domain/task.ts";
import type { TenantQuotas, TenantUsage } from "../../domain/tenant-quotas.ts";
import type { Page, PageRequest } from "./answers.ts";

/** What a Tenant has, counted when it was asked for. */
export interface TenantRecord {
  readonly id: TenantId;
  readonly createdAt: Date;
  /** The task that removes it, also one that failed; undefined: it stays. */
  readonly removingTaskId: TaskId | undefined;
  readonly installations: Readonly<Record<InstallationState, number>>;
  /** That the Tenant uploaded, and their archives' bytes. */
  readonly packages: number;
  readonly packageBytes: number;
  /** Neither revoked nor expired. */
  readonly keys: number;
  /** Ready ones in Pools of its own: those of shared Pools are nobody's. */
  readonly runtimes: number;
}

export interface RemovalAccepted {
  readonly task: TenantTask;
  /** False where the removal was under way, or over, already. */
  readonly created: boolean;
}

/** A Tenant is there from its first key, upload or Installation until it is removed; then it may come back as new. */
export interface TenantRows {
  list(page: PageRequest): Promise<Page<TenantRecord>>;
  find(id: TenantId): Promise<TenantRecord | undefined>;
  /**
   * In one transaction: the task, all keys of the Tenant revoked, its Installations marked `removing` and their
   * installs cancelled. Repeated, the same task; a new one where that failed. Throws `not_found`.
   */
  acceptRemoval(id: TenantId, by?: Actor): Promise<RemovalAccepted>;
  /**
   * The one transaction at its end, fenced by the task's attempt: every row of the Tenant goes but keys, audit
   * events and this task; the counts of what went are `progress` events. Throws `conflict` while an Installation is left.
   */
  publishRemoved(taskId: TaskId, attempt: number): Promise<void>;
  /** The defaults for a Tenant that is not there. */
  settings(id: TenantId): Promise<TenantSettings>;
  /** Throws `conflict` while the Tenant is being removed. */
  setSettings(id: TenantId, settings: TenantSettings, by?: Actor): Promise<void>;
  /** What holds of a Tenant of which nothing was said: the operator's settings. */
  readonly defaultQuotas: TenantQuotas;
  /** What was said of it; nothing for a Tenant that is not there. */
  quotas(id: TenantId): Promise<{ readonly quotas: TenantQuotas; readonly usage: TenantUsage }>;
  /** What was said of those that have a quota of disk or calls of their own. */
  listQuotas(): Promise<ReadonlyMap<TenantId, TenantQuotas>>;
  /**
   * Holds for what is accepted and started from then on; what is there stays. It goes with the Tenant. Throws `conflict`
   * while the Tenant is being removed.
   */
  setQuotas(id: TenantId, changes: Partial<TenantQuotas>, by?: Actor): Promise<void>;
}

/** What is kept of a Tenant's choices. */
export interface TenantSettings {
  /** Each of its Installations follows every newer version that it, or the operator, uploads. */
  readonly upgrade: boolean;
}
