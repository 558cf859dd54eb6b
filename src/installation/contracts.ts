/** What the HTTP doors use of this folder. */
import type { Actor } from "../domain/audit.ts";
import type { InstallationId, TaskId, TenantId } from "../domain/ids.ts";
import type { LimitsGranted } from "../domain/limits.ts";
import type { Package } from "../domain/package.ts";
import type { PermissionsChosen } from "../domain/permission.ts";
import type { Task, TaskEvent } from "../domain/task.ts";
import type { TrustDecision } from "../domain/trust.ts";
import type { Accepted, IdempotencyClaim } from "../store/contracts/answers.ts";
import type { UninstallRequest } from "../store/contracts/installations.ts";
import type { StoredPackage } from "../store/contracts/packages.ts";
import type { TaskAccepted } from "../store/contracts/tasks.ts";
import type { FetchRequest } from "./requests/accept-fetch.ts";

export interface PackageUploads {
  /**
   * Takes one archive: streams it to disk, hashes, reads and checks it, stores it under its identifier, then writes its
   * row. Throws `payload_too_large`, `package_*`, `manifest_*`, `identifier_too_long`, `signature_*`, and leaves nothing
   * behind then.
   */
  receive(
    body: AsyncIterable<Uint8Array>,
    uploader: {
      tenantId?: TenantId;
      by?: Actor;
      /** Read after the end of the body: a form may send it last. */
      verifySignature?: boolean;
      /** See `TrustRequest`. */
      isVendorHeld?: boolean;
      /** Upgrades what is installed of an older version. */
      upgrade?: boolean;
      /** Called with the package that was read; throws to refuse it. */
      accepts?: (pkg: Package) => void;
      fromMarketplace?: boolean;
    },
    signal: AbortSignal,
  ): Promise<UploadedPackage>;
}
export interface UploadedPackage {
  /** False where the same bytes were already stored. */
  readonly created: boolean;
  readonly stored: StoredPackage;
  readonly limits: LimitsGranted;
  readonly trust: TrustDecision;
}

export interface BundleRequest {
  readonly tenantId: TenantId;
  /** Of an uploaded bundle. */
  readonly bundle: string;
  /** See `InstallationRequests.install`. */
  readonly asTenant: boolean;
  readonly verifySignature?: boolean | undefined;
  readonly idempotency?: IdempotencyClaim;
  readonly by?: Actor;
}

/** Where a package came from. */
export interface Origin {
  readonly source: string;
  readonly meta: Readonly<Record<string, unknown>>;
  /** The platform's name for that source, where it differs. */
  readonly platformSource?: string;
}

export interface InstallationRequests {
  /** Accepts an install of an uploaded package. Throws `package_not_found` (also for one the tenant may not see). */
  install(request: {
    readonly tenantId: TenantId;
    readonly identifier: string;
    /** True for a tenant's key, which may install only what its tenant uploaded or has; an operator may install any. */
    readonly asTenant: boolean;
    /** Where the package came from; absent, it was uploaded. */
    readonly origin?: Origin;
    /** The task below which the install runs. */
    readonly parentId?: TaskId;
    /** True makes the signature policy `require` for this install. */
    readonly verifySignature?: boolean | undefined;
    /** What the operator decides about what the plugin may ask of its host. */
    readonly permissions?: PermissionsChosen | undefined;
    /** Identifiers by plugin id that the parent task has chosen for its dependencies. */
    readonly chosen?: Readonly<Record<string, string>>;
    readonly idempotency?: IdempotencyClaim;
    readonly by?: Actor;
  }): Promise<Accepted>;
  /**
   * Accepts an install from a source: the install itself where the package is stored already, else a task that fetches
   * it first. Repeated while that task runs, it returns the same task.
   */
  fetch(request: FetchRequest): Promise<Accepted | TaskAccepted>;
  /** Accepts the install of everything that an uploaded bundle lists, all or none. Throws `bundle_not_found`. */
  bundle(request: BundleRequest): Promise<TaskAccepted>;
  /** Accepts an uninstall; repeated, it returns the same task. */
  uninstall(id: InstallationId, request?: UninstallRequest): Promise<Accepted>;
  /**
   * Cancels an unfinished task: its `end` event follows once its work is undone. Repeated, it changes nothing. Throws
   * `task_not_found`, and `conflict` for a removal and for a task that has ended.
   */
  cancel(id: TaskId, by?: Actor): Promise<Task>;
}

export interface TaskWatch {
  /** Yields the task's events after `afterSeq`, and new ones until its `end` event. Throws `task_not_found`, and the signal's reason. */
  events(id: TaskId, afterSeq: number, signal: AbortSignal): AsyncIterable<TaskEvent>;
}
