/** What the doors need of this folder. */
import type { Actor } from "../domain/audit.ts";
import type { InstallationId, TaskId, TenantId } from "../domain/ids.ts";
import type { LimitsGranted } from "../domain/limits.ts";
import type { Package } from "../domain/package.ts";
import type { Task, TaskEvent } from "../domain/task.ts";
import type { TrustDecision } from "../domain/trust.ts";
import type { Accepted, IdempotencyClaim } from "../store/contracts/answers.ts";
import type { UninstallRequest } from "../store/contracts/installations.ts";
import type { StoredPackage } from "../store/contracts/packages.ts";
import type { TaskAccepted } from "../store/contracts/tasks.ts";
import type { FetchRequest } from "./requests/accept-fetch.ts";

export interface PackageUploads {
  /**
   * Takes one archive: streamed to disk and hashed on the way, read, checked, kept under its identifier, written to
   * the Store. Throws `payload_too_large`, `package_*`, `manifest_*`, `identifier_too_long`, `signature_*`; nothing is
   * left then.
   */
  receive(
    body: AsyncIterable<Uint8Array>,
    uploader: {
      tenantId?: TenantId;
      by?: Actor;
      /** Asked for once the body has come to its end: a form may say it last. */
      verifySignature?: boolean;
      /** See `TrustRequest`. */
      isVendorHeld?: boolean;
      /** Upgrades what is installed of an older version. */
      upgrade?: boolean;
      /** Throws what speaks against keeping it; it has been read by then. */
      accepts?: (pkg: Package) => void;
      fromMarketplace?: boolean;
    },
    signal: AbortSignal,
  ): Promise<UploadedPackage>;
}
export interface UploadedPackage {
  /** False where the same bytes were there already. */
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
  /** What the platform calls that source, where it has a word of its own. */
  readonly platformSource?: string;
}

export interface InstallationRequests {
  /** Accepts an install of an uploaded package. Throws `package_not_found` (also for one the Tenant may not see). */
  install(request: {
    readonly tenantId: TenantId;
    readonly identifier: string;
    /** An operator may install any package, a Tenant's key only what its Tenant uploaded or has. */
    readonly asTenant: boolean;
    /** Where the package came from; absent, it was uploaded. */
    readonly origin?: Origin;
    /** The task below which the install runs. */
    readonly parentId?: TaskId;
    /** True makes the signature policy `require` for this install. */
    readonly verifySignature?: boolean | undefined;
    /** Identifiers by plugin id, which the task above has chosen for what this one may need. */
    readonly chosen?: Readonly<Record<string, string>>;
    readonly idempotency?: IdempotencyClaim;
    readonly by?: Actor;
  }): Promise<Accepted>;
  /**
   * Accepts an install of what a source has: the install itself where its package is here already, else a task that
   * fetches it first. The same while that is under way returns the same task.
   */
  fetch(request: FetchRequest): Promise<Accepted | TaskAccepted>;
  /** Accepts the install of all that an uploaded bundle lists, or of none. Throws `bundle_not_found`. */
  bundle(request: BundleRequest): Promise<TaskAccepted>;
  /** Accepts an uninstall; repeated, it returns the same task. */
  uninstall(id: InstallationId, request?: UninstallRequest): Promise<Accepted>;
  /**
   * Accepts the end of an unfinished task: its `end` event comes when what it had made is undone. Repeated, it changes
   * nothing. Throws `task_not_found`; `conflict` for a removal and for what has ended otherwise.
   */
  cancel(id: TaskId, by?: Actor): Promise<Task>;
}

export interface TaskWatch {
  /** The task's events after `afterSeq`, then what follows until its `end` event or the signal. Throws `task_not_found`. */
  events(id: TaskId, afterSeq: number, signal: AbortSignal): AsyncIterable<TaskEvent>;
}
