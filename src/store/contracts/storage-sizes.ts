import type { TenantId } from "../../domain/ids.ts";

/** Bytes of each plugin's storage, in the daemon's table: if the daemon takes over again, its quota starts from there. */
export interface StorageSizes {
  /** Replaces the size. For one plugin of one tenant, one call at a time. */
  set(of: { readonly tenantId: string; readonly pluginId: string; readonly bytes: number }): Promise<void>;
  /**
   * As `set`, before a write. Throws `quota_disk`, and changes nothing, where the tenant would exceed its quota, also for
   * simultaneous calls. A size that is not larger than before always fits.
   */
  reserve(of: {
    readonly tenantId: string;
    readonly pluginId: string;
    readonly bytes: number;
  }): Promise<void>;
  /** Removes the size of one plugin, or of all of the tenant. Repeated, it does nothing. */
  remove(of: { readonly tenantId: TenantId; readonly pluginId?: string }): Promise<void>;
}
