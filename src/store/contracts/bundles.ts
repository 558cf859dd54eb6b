import type { Actor } from "../../domain/audit.ts";
import type { Bundle } from "../../domain/bundle.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Package } from "../../domain/package.ts";
import type { Page, PageRequest } from "./answers.ts";

export interface StoredBundle extends Bundle {
  readonly createdAt: Date;
}

export interface BundleRows {
  /**
   * Writes the bundle and all its packages, or none; existing rows stay. Records that the tenant uploaded them. Throws
   * `conflict` while that tenant is being removed, `unauthorized` for a key that was revoked meanwhile.
   */
  put(
    upload: { readonly bundle: Bundle; readonly packages: readonly Package[] },
    uploader: { tenantId?: TenantId; by?: Actor },
  ): Promise<{ readonly created: boolean; readonly stored: StoredBundle }>;
  find(identifier: string): Promise<StoredBundle | undefined>;
  /** With a tenant: only what it uploaded. */
  list(filter: { tenantId?: TenantId }, page: PageRequest): Promise<Page<StoredBundle>>;
  isVisibleTo(identifier: string, tenantId: TenantId): Promise<boolean>;
  /**
   * Removes the bundle; its packages stay. Throws `bundle_not_found`, and `conflict` while it is being installed.
   */
  remove(identifier: string, by?: Actor): Promise<void>;
}
