import { packageNotUploaded } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";
import type { Store } from "../../store/store.ts";

export interface PackageAsked {
  readonly identifier: string;
  readonly tenantId: TenantId;
  /** An operator may have any package, a Tenant's key only what its Tenant uploaded or has. */
  readonly asTenant: boolean;
  readonly origin?: { readonly source: string };
}

/** A package that the Tenant may not see answers as one that is not there: its existence is nobody else's business. */
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
