import type { Actor } from "../../domain/audit.ts";
import type { FaultJson } from "../../domain/fault.ts";
import type { InstallationId, TaskId, TenantId } from "../../domain/ids.ts";
import type { Installation, InstallationState } from "../../domain/installation.ts";
import type { Limits, LimitsAsked, LimitsWanted } from "../../domain/limits.ts";
import type { LimitsApplied } from "../../domain/limits-applied.ts";
import type { PermissionsChosen } from "../../domain/permission.ts";
import type { Task } from "../../domain/task.ts";
import type { TrustDecision } from "../../domain/trust.ts";
import type { Accepted, IdempotencyClaim, Page, PageRequest } from "./answers.ts";

export interface AcceptInstall {
  readonly tenantId: TenantId;
  readonly pluginId: string;
  readonly identifier: string;
  readonly limitsAsked: LimitsAsked;
  readonly limitsGranted: Limits;
  readonly source: string;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly warnings: readonly string[];
  /** What the operator decides with the install. */
  readonly permissions?: PermissionsChosen;
  /** The parent of the install's task. */
  readonly parentId?: TaskId;
  /** Becomes the task's. */
  readonly input?: Task["input"];
  readonly idempotency?: IdempotencyClaim;
  /** Who asks; absent, Berth itself does. */
  readonly by?: Actor;
}

export const CHANGES = ["upgrade", "rollback", "restart", "enable", "disable", "limits"] as const;

export type ChangeKind = (typeof CHANGES)[number];

export interface AcceptChange {
  readonly id: InstallationId;
  readonly kind: ChangeKind;
  /** The identifier after an upgrade; other changes find their own. */
  readonly identifier?: string;
  /** The parent of the change's task. */
  readonly parentId?: TaskId;
  /** Becomes the task's. */
  readonly input?: Task["input"];
  readonly idempotency?: IdempotencyClaim;
  /** Who asks; absent, Berth itself does. */
  readonly by?: Actor;
}

/** What the end of a task writes to the installation beside its identifier; absent fields stay as they are. */
export interface Published {
  readonly limitsAsked?: LimitsAsked;
  readonly limitsGranted?: Limits;
  readonly limitsWanted?: LimitsWanted;
  /** How changed limits were applied: the task keeps it, in place of the plan. */
  readonly limitsApplied?: LimitsApplied;
  readonly warnings?: readonly string[];
  readonly trust?: TrustDecision;
  /**
   * The origin of another identifier. By default a rollback restores its earlier one, and any other change has that of an
   * upload: `package`, with empty `meta`.
   */
  readonly origin?: { readonly source: string; readonly meta: Readonly<Record<string, unknown>> };
}

export interface UninstallRequest {
  readonly by?: Actor | undefined;
  /** True uninstalls it although other installations need it. */
  readonly force?: boolean;
  /** The parent of the uninstall's task. */
  readonly parentId?: TaskId;
  /** Becomes the task's. */
  readonly input?: Task["input"];
}

export interface InstallationRows {
  /**
   * Accepts an install: writes installation and task in one transaction. The same identifier again returns the existing
   * ones (a failed one gets a new task). Throws `conflict` for another identifier of the same plugin id, for other
   * permissions than those of an installation that is not failed, and where the installation or its tenant is being
   * removed; `unauthorized` for a key that was revoked meanwhile. The same idempotency key within 24 h returns the first
   * answer; with another hash it throws `idempotency_mismatch`.
   */
  acceptInstall(request: AcceptInstall): Promise<Accepted>;
  /**
   * Accepts an uninstall: marks the installation `removing`, removes its rows from the platform's tables and writes the
   * task; repeated, it returns the same task. An unfinished install ends as cancelled in the same transaction, so that its
   * worker's next write is `lease_lost`; one with tasks below it undoes these first. Unless forced, throws
   * `dependency_in_use` with the names of those that need it.
   */
  acceptUninstall(id: InstallationId, request?: UninstallRequest): Promise<Accepted>;
  /**
   * Accepts a change of an installation, which has at most one unfinished task: the same request again returns that, any
   * other throws `conflict` with its `task_id` and `kind`. An upgrade to the installed identifier returns the task that
   * installed it. A `disable` applies from here on. Throws `installation_not_found`, `plugin_disabled` for a restart of a
   * disabled one, `conflict` for a change that its state does not allow; idempotency as with `acceptInstall`.
   */
  acceptChange(request: AcceptChange): Promise<Accepted>;
  find(id: InstallationId): Promise<Installation | undefined>;
  findByPlugin(tenantId: TenantId, pluginId: string): Promise<Installation | undefined>;
  /** Whether the platform's tables have its rows: it was ready once, or an earlier daemon had it. */
  isPublished(id: InstallationId): Promise<boolean>;
  list(filter: { tenantId?: TenantId; poolKey?: string }, page: PageRequest): Promise<Page<Installation>>;
  /** Installations that changed at or after the time, and ids of removed ones. Times are those of the database's clock, which the answer has. */
  changedSince(since: Date | undefined): Promise<{
    readonly items: readonly Installation[];
    readonly removed: readonly InstallationId[];
    readonly at: Date;
  }>;
  /** Sets the state; one that is being removed keeps `removing`. */
  setState(id: InstallationId, state: InstallationState, cause: FaultJson | undefined): Promise<void>;
  setPool(id: InstallationId, poolKey: string, warnings: readonly string[]): Promise<void>;
  /** Sets the pool that it moves to once its task is `ready`; where the task ends otherwise, that pool is removed. */
  setNextPool(id: InstallationId, poolKey: string): Promise<void>;
  /**
   * Ends every task on an installation but an uninstall, in one transaction, fenced by the task's attempt. It writes the
   * rows of the task's identifier: `plugins` (reference counts), `plugin_declarations` (where missing),
   * `plugin_installations` (with the same id and creation time), one row per provider kind in its own table; the
   * installation `ready` (or `disabled`), on its next pool where it has one, with the former identifier as
   * `previousIdentifier`; the task `ready`, with its `step` and `end` events.
   */
  publishReady(taskId: TaskId, attempt: number, published?: Published): Promise<void>;
  /** Ends an uninstall in one transaction, fenced likewise: removes all these rows and the installation, the task is `ready`. */
  publishRemoved(taskId: TaskId, attempt: number): Promise<void>;
}
