import { packageNotUploaded } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";
import type { Store } from "../../store/store.ts";

export interface PackageAsked {
  readonly identifier: string;
  readonly tenantId: TenantId;
  /** True for a tenant's key, which sees only what its tenant uploaded or has; an operator sees every package. */
  readonly asTenant: boolean;
  readonly origin?: { readonly source: string };
}

/** Throws `package_not_found`, also for a package that the tenant may not see: its existence is private. */
export async function visiblePackage(
  store: Pick<Store, "packages">,
  { identifier, tenantId, asTenant, origin }: PackageAsked,
): Promise<StoredPackage> {
  const pkg = await store.packages.find(identifier);
  const { isVisibleTo, isFromMarketplace } = store.packages;
  const isVisible =
    !asTenant ||
    (await isVisibleTo(identifier, tenantId)) ||
    (origin?.source === "marketplace" && (await isFromMarketplace(identifier)));
  if (pkg !== undefined && isVisible) return pkg;
  throw packageNotUploaded(identifier);
}
