import type { Actor } from "../../domain/audit.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Package } from "../../domain/package.ts";
import type { Page, PageRequest } from "./answers.ts";

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
