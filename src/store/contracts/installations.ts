import type { Actor } from "../../domain/audit.ts";
import type { FaultJson } from "../../domain/fault.ts";
import type { InstallationId, TaskId, TenantId } from "../../domain/ids.ts";
import type { Installation, InstallationState } from "../../domain/installation.ts";
import type { Limits, LimitsAsked, LimitsWanted } from "../../domain/limits.ts";
import type { LimitsApplied } from "../../domain/limits-applied.ts";
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
  /** The task below which the install runs. */
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
  /** What it is to have after an upgrade; any other change finds its own. */
  readonly identifier?: string;
  /** The task below which the change runs. */
  readonly parentId?: TaskId;
  /** Becomes the task's. */
  readonly input?: Task["input"];
  readonly idempotency?: IdempotencyClaim;
  /** Who asks; absent, Berth itself does. */
  readonly by?: Actor;
}

/** What a change brings beside the task's identifier; what is not given stays as it is. */
export interface Published {
  readonly limitsAsked?: LimitsAsked;
  readonly limitsGranted?: Limits;
  readonly limitsWanted?: LimitsWanted;
  /** How those that changed came into force: the task keeps it, in place of what was planned. */
  readonly limitsApplied?: LimitsApplied;
  readonly warnings?: readonly string[];
  readonly trust?: TrustDecision;
  /**
   * Where another identifier came from. By default a rollback finds its own again, and anything else is an upload:
   * `package`, with empty `meta`.
   */
  readonly origin?: { readonly source: string; readonly meta: Readonly<Record<string, unknown>> };
}

export interface UninstallRequest {
  readonly by?: Actor | undefined;
  /** Also where other Installations need it. */
  readonly force?: boolean;
  /** The task below which the uninstall runs. */
  readonly parentId?: TaskId;
  /** Becomes the task's. */
  readonly input?: Task["input"];
}

export interface InstallationRows {
  /**
   * The acceptance: Installation and task in one transaction. The same identifier again returns what is there (a
   * failed one gets a new task); another identifier of the same plugin id, or one being removed, is `conflict`. The
   * same idempotency key within 24 h returns the first answer, with another hash it is `idempotency_mismatch`.
   * While the Tenant is being removed it is `conflict`; a key that was revoked meanwhile is `unauthorized`.
   */
  acceptInstall(request: AcceptInstall): Promise<Accepted>;
  /**
   * Marks the Installation `removing`, takes its rows from the platform's tables and writes the task; repeated, returns
   * the same task. An install in flight ends
   * as cancelled in the same transaction, so that its worker's next write is `lease_lost`; one with something below it
   * has that undone first. Throws `dependency_in_use`, with their names, where others need it, unless forced.
   */
  acceptUninstall(id: InstallationId, request?: UninstallRequest): Promise<Accepted>;
  /**
   * Accepts a change of what is installed. An Installation has one unfinished task at most: the same request again
   * returns it, any other is `conflict` with its `task_id` and `kind`. An upgrade to what it has already returns the
   * task that brought it. A disabled one is `disabled` from here on. Throws `installation_not_found`, `plugin_disabled`
   * for a restart of one, `conflict` for what cannot be done in its state; idempotency as with `acceptInstall`.
   */
  acceptChange(request: AcceptChange): Promise<Accepted>;
  find(id: InstallationId): Promise<Installation | undefined>;
  findByPlugin(tenantId: TenantId, pluginId: string): Promise<Installation | undefined>;
  /** Whether the platform's rows of it are there: it was ready once, or an earlier daemon had it. */
  isPublished(id: InstallationId): Promise<boolean>;
  list(filter: { tenantId?: TenantId; poolKey?: string }, page: PageRequest): Promise<Page<Installation>>;
  /** All that changed at or after the moment (by the database's clock, which the answer carries), removed ones by id. */
  changedSince(since: Date | undefined): Promise<{
    readonly items: readonly Installation[];
    readonly removed: readonly InstallationId[];
    readonly at: Date;
  }>;
  /** One that is being removed keeps `removing`: what was seen before the uninstall says nothing any more. */
  setState(id: InstallationId, state: InstallationState, cause: FaultJson | undefined): Promise<void>;
  setPool(id: InstallationId, poolKey: string, warnings: readonly string[]): Promise<void>;
  /** The Pool that it moves to with the end of its task; should the task end otherwise, that Pool goes. */
  setNextPool(id: InstallationId, poolKey: string): Promise<void>;
  /**
   * The one transaction at the end of every task on an Installation but an uninstall, fenced by the task's attempt:
   * `plugins` (reference counts), `plugin_declarations` (made sure of), `plugin_installations` (keeps id and time of
   * creation), one row per provider kind in its own table, all at the task's identifier; the Installation `ready` (or
   * `disabled`) on its next Pool where it has one, what it had before kept as `previousIdentifier`; the task `ready`,
   * its `step` and `end` events.
   */
  publishReady(taskId: TaskId, attempt: number, published?: Published): Promise<void>;
  /** The one transaction at the end of an uninstall, fenced likewise: all of the above undone, the Installation gone, the task `ready`. */
  publishRemoved(taskId: TaskId, attempt: number): Promise<void>;
}
