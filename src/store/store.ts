/**
 * The Store contract: Berth's truth. Each method is one statement or one transaction; none waits for anything but
 * the database. Exclusion is a conditional update of a row that names holder, attempt and expiry (an embedded
 * database has one session, so advisory locks lock nothing); what a lease holder publishes is fenced by its attempt.
 *
 * Failures: `store_unavailable` when the database does not answer, `lease_lost` when a fenced write came too late.
 * `find` answers undefined, `get` throws the `*_not_found` of its kind. Lists are newest first.
 */
import type { Actor, AuditEvent } from "../domain/audit.ts";
import type { FaultJson } from "../domain/fault.ts";
import type { MemoryReservation } from "../domain/host-budget.ts";
import type { InstallationId, RuntimeId, TaskId, TenantId } from "../domain/ids.ts";
import type { Installation, InstallationState } from "../domain/installation.ts";
import type { Limits, LimitsAsked, LimitsWanted } from "../domain/limits.ts";
import type { LimitsApplied } from "../domain/limits-applied.ts";
import type { Package } from "../domain/package.ts";
import type { Pool, RuntimeAction, RuntimeEnd, RuntimeRecord } from "../domain/runtime.ts";
import type { Scope } from "../domain/scope.ts";
import type { Task } from "../domain/task.ts";
import type { TrustDecision } from "../domain/trust.ts";
import type { Accepted, IdempotencyClaim, Page, PageRequest } from "./contracts/answers.ts";
import type { BundleRows } from "./contracts/bundles.ts";
import type { DependencyRows } from "./contracts/dependencies.ts";
import type { DiskRows, LeaseRows } from "./contracts/disk.ts";
import type { EgressRows } from "./contracts/egress.ts";
import type { EndpointRows } from "./contracts/endpoints.ts";
import type { ImportedImageRows } from "./contracts/imported-images.ts";
import type { InstalledRows } from "./contracts/installed.ts";
import type { PlatformRows } from "./contracts/platform.ts";
import type { PlatformTaskRows } from "./contracts/platform-tasks.ts";
import type { ReadmeRows } from "./contracts/readmes.ts";
import type { StorageSizes } from "./contracts/storage-sizes.ts";
import type { TakeoverRows } from "./contracts/takeover.ts";
import type { TaskRows } from "./contracts/tasks.ts";
import type { TenantRows } from "./contracts/tenants.ts";
import type { TrustRows } from "./contracts/trust.ts";

export type { Accepted, IdempotencyClaim, Page, PageRequest } from "./contracts/answers.ts";

export interface Store extends AsyncDisposable {
  /** Random, made once per database: `[a-z0-9]{8}`. Part of every name and label that we give. */
  readonly instanceId: string;
  /** Tells databases apart, also a copy from its original: `embedded`, whose folder does, or the server's and its own id. */
  readonly databaseId: string;
  readonly packages: PackageStoreRows;
  readonly bundles: BundleRows;
  readonly readmes: ReadmeRows;
  readonly storageSizes: StorageSizes;
  readonly platform: PlatformRows;
  readonly platformTasks: PlatformTaskRows;
  readonly installations: InstallationRows;
  readonly installed: InstalledRows;
  readonly tasks: TaskRows;
  readonly images: ImageRows;
  readonly pools: PoolRows;
  readonly runtimes: RuntimeRows;
  readonly keys: KeyRows;
  readonly dependencies: DependencyRows;
  readonly tenants: TenantRows;
  readonly upgrades: UpgradeRows;
  readonly events: EventRows;
  readonly processes: ProcessRows;
  readonly trust: TrustRows;
  readonly leases: LeaseRows;
  readonly importedImages: ImportedImageRows;
  readonly disk: DiskRows;
  readonly takeover: TakeoverRows;
  readonly endpoints: EndpointRows;
  readonly egress: EgressRows;
  /** Resolves when the database answers. */
  ping(): Promise<void>;
}

export interface StoredPackage extends Package {
  readonly createdAt: Date;
}

export interface PackageStoreRows {
  /**
   * Writes the package and its `plugin_declarations` row unless they are there; notes that the Tenant uploaded it.
   * Throws `conflict` while that Tenant is being removed, `unauthorized` for a key that was revoked meanwhile. With
   * `upgrade`, or where a Tenant's settings say so, each Installation of an older version gets its `upgrades` line:
   * of that Tenant, or of all where the operator uploads.
   */
  put(
    pkg: Package,
    uploader: { tenantId?: TenantId; by?: Actor; upgrade?: boolean; fromMarketplace?: boolean },
  ): Promise<{ readonly created: boolean; readonly stored: StoredPackage }>;
  find(identifier: string): Promise<StoredPackage | undefined>;
  /** With a Tenant: only what it uploaded or has installed. */
  list(
    filter: { tenantId?: TenantId; pluginId?: string; checksum?: string },
    page: PageRequest,
  ): Promise<Page<StoredPackage>>;
  isVisibleTo(identifier: string, tenantId: TenantId): Promise<boolean>;
  /** Whether the marketplace gave it, and so gives it to everybody. */
  isFromMarketplace(identifier: string): Promise<boolean>;
}

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

export type ImageClaim =
  | { readonly outcome: "failed"; readonly cause: FaultJson }
  | { readonly outcome: "ready"; readonly imageRef: string; readonly warnings: readonly string[] }
  | { readonly outcome: "claimed"; readonly attempt: number }
  | { readonly outcome: "held"; readonly holder: string; readonly expiresAt: Date };

export interface ImageRecord {
  readonly key: string;
  readonly layer: "dependencies" | "package";
  readonly state: "building" | "ready" | "failed" | "deleting";
  readonly imageRef: string | undefined;
  readonly bytes: number | undefined;
  readonly warnings: readonly string[];
  /** Why its last build failed, where the same may happen to whoever waited for it. */
  readonly cause: FaultJson | undefined;
  readonly createdAt: Date;
}

export interface ImageRows {
  /**
   * One build per key, however many ask. A failed one may be claimed again; one that is being removed is held until it
   * is gone. A claim of what is ready counts as a use. `identifier` is that of the Package whose image it is.
   */
  claim(
    key: string,
    layer: ImageRecord["layer"],
    holder: string,
    leaseMs: number,
    options?: {
      readonly identifier?: string | undefined;
      /** Of a build that was `held` before: where that one failed with a cause, the claim answers it and takes nothing. */
      readonly isWaiting?: boolean;
    },
  ): Promise<ImageClaim>;
  /** Notes on which dependency layer the Package's image is being built: nobody removes that from now on. */
  setBase(key: string, attempt: number, baseKey: string): Promise<void>;
  renew(key: string, attempt: number, leaseMs: number): Promise<void>;
  publish(
    key: string,
    attempt: number,
    image: { imageRef: string; bytes: number; warnings: readonly string[] },
  ): Promise<void>;
  fail(key: string, attempt: number, cause?: FaultJson): Promise<void>;
  /** The image is gone from the Engine: the next claim builds it again. */
  forget(key: string): Promise<void>;
  find(key: string): Promise<ImageRecord | undefined>;
  list(): Promise<readonly ImageRecord[]>;
}

export interface PoolRows {
  /** Makes the Pool or updates image reference, limits and `wanted`; `uidOffset` is given once and never reused while it exists. */
  ensure(
    pool: Pick<
      Pool,
      | "key"
      | "tenantId"
      | "pluginId"
      | "identifier"
      | "imageKey"
      | "imageRef"
      | "runner"
      | "limits"
      | "wanted"
    >,
  ): Promise<Pool>;
  find(key: string): Promise<Pool | undefined>;
  list(): Promise<readonly Pool[]>;
  setState(
    key: string,
    state: { state: Pool["state"]; cause: FaultJson | undefined; nextStartAt: Date | undefined },
  ): Promise<void>;
  setWanted(key: string, wanted: boolean): Promise<void>;
  /** Where no Installation (not `removed`) points to it: it is not wanted any more, and the answer is true. */
  unwantUnused(key: string): Promise<boolean>;
  /** Where no enabled Installation points to it: it is not wanted any more, and the answer is true. */
  unwantIdle(key: string): Promise<boolean>;
  /** Unless an Installation (not `removed`) points to it; answers whether it is gone. */
  removeUnused(key: string): Promise<boolean>;
  /** Takes or renews the lease for this holder; undefined while another's stands. */
  claim(key: string, holder: string, leaseMs: number): Promise<Pool | undefined>;
  /** Answers the keys of the Pools that the holder let go. */
  releaseAll(holder: string): Promise<readonly string[]>;
  /**
   * A request to whoever holds the lease: start it as an install does, whatever its state. The answer is the request's
   * number: once `startAnswered` has reached it, `startFault` says how the start went.
   */
  askStart(key: string): Promise<number>;
  /**
   * Such a request that only a Runtime answers which is newer than all that there are, or, with limits, one that runs
   * under these. They become the Pool's once it serves, and are forgotten where it could not start.
   */
  askReplace(key: string, limits: Limits | undefined): Promise<number>;
  /** The request is wanted no more; whatever was started for it serves or goes. */
  withdraw(key: string, asked: number): Promise<void>;
  /** Answers every request up to the number; undefined: it serves. */
  answerStart(key: string, asked: number, fault: FaultJson | undefined): Promise<void>;
  /** The same for the removal of a Pool that is not wanted; whoever needs it again (`ensure`) takes it back. */
  askRemoval(key: string, asked: boolean): Promise<void>;
}

export interface RuntimeRows {
  /**
   * Reserves its memory until it ends. Throws `host_full`, and makes nothing, where all that lives and this one are
   * granted more than the host's budget, `quota_memory` where those of its Tenant are granted more than the Tenant may
   * have; of several who ask at the same moment none slips past.
   */
  create(
    runtime: Pick<RuntimeRecord, "id" | "poolKey" | "slot" | "generation" | "containerName" | "specHash"> &
      Partial<Pick<RuntimeRecord, "tenantId" | "pluginId" | "identifier">>,
    reservation?: MemoryReservation,
  ): Promise<RuntimeRecord>;
  /**
   * What it reserves from now on, of one that lives. More than before is refused as `create` refuses, and then nothing
   * changes; `undefined` as budget judges nothing: it has that much already.
   */
  reserve(
    id: RuntimeId,
    memoryBytes: number,
    judged: { readonly budgetBytes: number | undefined } | undefined,
  ): Promise<void>;
  setContainer(id: RuntimeId, containerId: string): Promise<void>;
  setState(id: RuntimeId, state: "ready" | "draining"): Promise<void>;
  end(id: RuntimeId, end: RuntimeEnd): Promise<void>;
  /** All that have not ended, or those of one Pool. */
  listLive(poolKey?: string): Promise<readonly RuntimeRecord[]>;
  /** What Berth did about an end. */
  noteAction(id: RuntimeId, action: RuntimeAction): Promise<void>;
  listOfPool(poolKey: string, limit: number): Promise<readonly RuntimeRecord[]>;
  /**
   * Those of a plugin that served a Tenant, by Pools of its own or by shared ones, and had not ended before `since`; the
   * newest first.
   */
  listOfPlugin(
    filter: { readonly tenantId: TenantId; readonly pluginId: string; readonly since: Date },
    limit: number,
  ): Promise<readonly RuntimeRecord[]>;
  /** Removes at most `limit` that ended more than so many days ago; answers how many. */
  purge(olderThanDays: number, limit: number): Promise<number>;
  find(id: RuntimeId): Promise<RuntimeRecord | undefined>;
  /** Greater than that of every Runtime that the Pool has had. */
  nextGeneration(poolKey: string): Promise<number>;
}

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  /** First characters of the key, to tell keys apart. */
  readonly hint: string;
  /** SHA-256 of the key, hex. */
  readonly hash: string;
  /** Undefined: an operator's key. */
  readonly tenantId: TenantId | undefined;
  readonly scopes: readonly Scope[];
  readonly createdAt: Date;
  /** Undefined: it does not expire. */
  readonly expiresAt: Date | undefined;
  /** To the minute or so; undefined: never. */
  readonly lastUsedAt: Date | undefined;
  readonly revokedAt: Date | undefined;
}

export interface KeyRows {
  /** Throws `conflict` while the key's Tenant is being removed. */
  create(
    key: Pick<ApiKey, "name" | "hint" | "hash" | "tenantId"> &
      Partial<Pick<ApiKey, "scopes" | "expiresAt">> & { readonly by?: Actor },
  ): Promise<ApiKey>;
  /** Repeated, it does nothing. */
  revoke(id: string, by?: Actor): Promise<ApiKey>;
  /** All that were not revoked. */
  list(): Promise<readonly ApiKey[]>;
  /** Revoked and expired ones too. */
  page(filter: { tenantId?: TenantId }, page: PageRequest): Promise<Page<ApiKey>>;
  /** One statement for any number of keys; an earlier time than the one that is known changes nothing. */
  noteUse(uses: readonly { readonly id: string; readonly at: Date }[]): Promise<void>;
}

/** An upgrade that an upload brought and that is no task yet. */
export interface UpgradeDue {
  readonly installationId: InstallationId;
  readonly identifier: string;
  readonly by: Actor;
}

/** Lines come with `packages.put` and go with `acceptChange`; an Installation has one at most. */
export interface UpgradeRows {
  /** Oldest first; those of one package, or all that are older than `minAgeMs`. */
  listDue(
    filter: { readonly identifier: string } | { readonly minAgeMs: number },
    limit: number,
  ): Promise<readonly UpgradeDue[]>;
  /** Unless a newer package has taken its place. */
  forget(due: Pick<UpgradeDue, "installationId" | "identifier">): Promise<void>;
}

/** The audit events. They are written by what they are about, in its transaction. */
export interface EventRows {
  list(
    filter: { tenantId?: TenantId; installationId?: InstallationId; kind?: string; since?: Date },
    page: PageRequest,
  ): Promise<Page<AuditEvent>>;
  /** Removes at most `limit` that are older than so many days; answers how many. */
  purge(olderThanDays: number, limit: number): Promise<number>;
}

export interface ProcessRecord {
  readonly id: string;
  readonly role: "serve" | "api" | "worker";
  readonly host: string;
  readonly pid: number;
  readonly startedAt: Date;
}

export interface ProcessRows {
  /** Says that the process lives, and will for `aliveMs` by the database's clock; repeated, it extends that. */
  announce(process: Omit<ProcessRecord, "startedAt">, aliveMs: number): Promise<void>;
  listLive(): Promise<readonly ProcessRecord[]>;
  leave(id: string): Promise<void>;
}
