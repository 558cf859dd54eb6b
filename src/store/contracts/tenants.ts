import type { Actor } from "../../domain/audit.ts";
import type { TaskId, TenantId } from "../../domain/ids.ts";
import type { InstallationState } from "../../domain/installation.ts";
import type { TenantTask } from "../../domain/task.ts";
import type { TenantQuotas, TenantUsage } from "../../domain/tenant-quotas.ts";
import type { Page, PageRequest } from "./answers.ts";

/** A tenant with counts of what it has now. */
export interface TenantRecord {
  readonly id: TenantId;
  readonly createdAt: Date;
  /** The task that removes it, also a failed one; undefined where it stays. */
  readonly removingTaskId: TaskId | undefined;
  readonly installations: Readonly<Record<InstallationState, number>>;
  /** Packages that the tenant uploaded, and the bytes of their archives. */
  readonly packages: number;
  readonly packageBytes: number;
  /** Keys that are neither revoked nor expired. */
  readonly keys: number;
  /** Ready runtimes in its own pools; those of shared pools count for no tenant. */
  readonly runtimes: number;
}

export interface RemovalAccepted {
  readonly task: TenantTask;
  /** False where the removal was already accepted or finished. */
  readonly created: boolean;
}

/** A tenant exists from its first key, upload or installation until it is removed; then it may come back as new. */
export interface TenantRows {
  list(page: PageRequest): Promise<Page<TenantRecord>>;
  find(id: TenantId): Promise<TenantRecord | undefined>;
  /**
   * Accepts the removal in one transaction: writes the task, revokes all keys of the tenant, marks its installations
   * `removing` and cancels their installs. Repeated, it returns the same task, or a new one where that failed. Throws
   * `not_found`.
   */
  acceptRemoval(id: TenantId, by?: Actor): Promise<RemovalAccepted>;
  /**
   * Ends the removal in one transaction, fenced by the task's attempt: removes every row of the tenant but keys, audit
   * events and this task, and writes the counts of removed rows as `progress` events. Throws `conflict` while the tenant
   * has an installation.
   */
  publishRemoved(taskId: TaskId, attempt: number): Promise<void>;
  /** The defaults for an unknown tenant. */
  settings(id: TenantId): Promise<TenantSettings>;
  /** Throws `conflict` while the tenant is being removed. */
  setSettings(id: TenantId, settings: TenantSettings, by?: Actor): Promise<void>;
  /** Quotas of a tenant without its own: the operator's settings. */
  readonly defaultQuotas: TenantQuotas;
  /** The tenant's own quotas; none for an unknown tenant. */
  quotas(id: TenantId): Promise<{ readonly quotas: TenantQuotas; readonly usage: TenantUsage }>;
  /** Tenants with their own quota of disk or calls. */
  listQuotas(): Promise<ReadonlyMap<TenantId, TenantQuotas>>;
  /**
   * Sets the tenant's own quotas, until it is removed. They apply to what is accepted and started from then on. Throws
   * `conflict` while the tenant is being removed.
   */
  setQuotas(id: TenantId, changes: Partial<TenantQuotas>, by?: Actor): Promise<void>;
}

/** Settings of a tenant. */
export interface TenantSettings {
  /** Upgrade each of its installations to every newer version that it, or the operator, uploads. */
  readonly upgrade: boolean;
}
