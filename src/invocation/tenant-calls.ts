import type { Fault } from "../domain/fault.ts";
import type { TenantId } from "../domain/ids.ts";
import { type CallsQuota, refuseCall } from "../domain/tenant-quotas.ts";

/**
 * Calls of each tenant, over all its plugins, that run or wait in this process, including calls between plugins and
 * calls whose callers have left. Entering and leaving need no I/O.
 */
export class TenantCalls {
  readonly #quotaOf: (tenantId: TenantId) => CallsQuota | undefined;
  readonly #open = new Map<TenantId, number>();

  constructor(quotaOf: (tenantId: TenantId) => CallsQuota | undefined) {
    this.#quotaOf = quotaOf;
  }

  openOf(tenantId: TenantId): number {
    return this.#open.get(tenantId) ?? 0;
  }

  /** Takes a place, or returns the fault where there is none. */
  enter(tenantId: TenantId): Fault | undefined {
    const quota = this.#quotaOf(tenantId);
    const refusal = quota === undefined ? undefined : refuseCall(quota, this.openOf(tenantId));
    if (refusal === undefined) this.#open.set(tenantId, this.openOf(tenantId) + 1);
    return refusal;
  }

  leave(tenantId: TenantId): void {
    const left = this.openOf(tenantId) - 1;
    if (left > 0) this.#open.set(tenantId, left);
    else this.#open.delete(tenantId);
  }
}
