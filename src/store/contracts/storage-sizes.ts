import type { TenantId } from "../../domain/ids.ts";

/** How much each plugin keeps, in the daemon's table: its quota counts from there when it takes over again. */
export interface StorageSizes {
  /** In place of what stands there. For one plugin of one Tenant, one call at a time. */
  set(of: { readonly tenantId: string; readonly pluginId: string; readonly bytes: number }): Promise<void>;
  /**
   * As `set`, of what is about to be written. Throws `quota_disk`, and keeps what stands there, where the Tenant would keep
   * more than it may; what is no more than before always fits. Of several at once none slips past.
   */
  reserve(of: {
    readonly tenantId: string;
    readonly pluginId: string;
    readonly bytes: number;
  }): Promise<void>;
  /** Of one plugin; without, of all of the Tenant. Repeated, it does nothing. */
  remove(of: { readonly tenantId: TenantId; readonly pluginId?: string }): Promise<void>;
}
