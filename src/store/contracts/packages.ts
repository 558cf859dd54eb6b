import type { Actor } from "../../domain/audit.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Package } from "../../domain/package.ts";
import type { Page, PageRequest } from "./answers.ts";

export interface StoredPackage extends Package {
  readonly createdAt: Date;
}

export interface PackageStoreRows {
  /**
   * Writes the package and its `plugin_declarations` row where they are missing, and records that the tenant uploaded it.
   * With `upgrade`, or where a tenant's settings say so, it also records an upgrade in `upgrades` for each installation of
   * an older version, of that tenant, or of all tenants where the operator uploads. Throws `conflict` while the tenant is
   * being removed, `unauthorized` for a key that was revoked meanwhile.
   */
  put(
    pkg: Package,
    uploader: { tenantId?: TenantId; by?: Actor; upgrade?: boolean; fromMarketplace?: boolean },
  ): Promise<{ readonly created: boolean; readonly stored: StoredPackage }>;
  find(identifier: string): Promise<StoredPackage | undefined>;
  /** With a tenant: only what it uploaded or has installed. */
  list(
    filter: { tenantId?: TenantId; pluginId?: string; checksum?: string },
    page: PageRequest,
  ): Promise<Page<StoredPackage>>;
  isVisibleTo(identifier: string, tenantId: TenantId): Promise<boolean>;
  /** Whether it came from the marketplace, and so is available to everyone. */
  isFromMarketplace(identifier: string): Promise<boolean>;
}
