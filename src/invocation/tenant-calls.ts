import type { Fault } from "../domain/fault.ts";
import type { TenantId } from "../domain/ids.ts";
import { type CallsQuota, refuseCall } from "../domain/tenant-quotas.ts";

/**
 * Calls of each tenant, over all its plugins, that run or wait in this process: also those that plugins make of each other
 * and those whose callers have left. A place is taken and given back without asking anybody.
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

  /** Answers why there is no place, or takes one. */
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
