/** What the doors need of this folder. */
import type { Actor } from "../domain/audit.ts";
import type { InstallationId, TaskId, TenantId } from "../domain/ids.ts";
import type { LimitsGranted } from "../domain/limits.ts";
import type { TaskEvent } from "../domain/task.ts";
import type { Accepted, IdempotencyClaim, StoredPackage } from "../store/store.ts";

export interface PackageUploads {
  /**
   * Takes one archive: streamed to disk and hashed on the way, read, checked, kept under its identifier, written to
   * the Store. Throws `payload_too_large`, `package_*`, `manifest_*`, `identifier_too_long`; nothing is left then.
   */
  receive(
    body: AsyncIterable<Uint8Array>,
    uploader: { tenantId?: TenantId; by?: Actor },
    signal: AbortSignal,
  ): Promise<UploadedPackage>;
}
export interface UploadedPackage {
  /** False where the same bytes were there already. */
  readonly created: boolean;
  readonly stored: StoredPackage;
  readonly limits: LimitsGranted;
}

export interface InstallationRequests {
  /** Accepts an install of an uploaded package. Throws `package_not_found` (also for one the Tenant may not see). */
  install(request: {
    readonly tenantId: TenantId;
    readonly identifier: string;
    /** An operator may install any package, a Tenant's key only what its Tenant uploaded or has. */
    readonly asTenant: boolean;
    readonly idempotency?: IdempotencyClaim;
    readonly by?: Actor;
  }): Promise<Accepted>;
  /** Accepts an uninstall; repeated, it returns the same task. */
  uninstall(id: InstallationId, by?: Actor): Promise<Accepted>;
}

export interface TaskWatch {
  /** The task's events after `afterSeq`, then what follows until its `end` event or the signal. Throws `task_not_found`. */
  events(id: TaskId, afterSeq: number, signal: AbortSignal): AsyncIterable<TaskEvent>;
}
