import { Fault } from "../../../domain/fault.ts";
import type { TenantId } from "../../../domain/ids.ts";
import type { StoredPackage } from "../../../store/contracts/packages.ts";
import type { Store } from "../../../store/store.ts";

/** Throws `package_not_found`, also for a package of somebody else's: it is not told apart from one that is not there. */
export async function visiblePackage(
  store: Pick<Store, "packages">,
  identifier: string,
  tenantId: TenantId | undefined,
): Promise<StoredPackage> {
  const stored = await store.packages.find(identifier);
  if (
    stored !== undefined &&
    (tenantId === undefined || (await store.packages.isVisibleTo(identifier, tenantId)))
  )
    return stored;
  throw new Fault("package_not_found", `There is no package ${identifier}.`, {
    details: {
      field: "identifier",
      value: identifier,
      accepted: "author/name:version@checksum of an upload",
    },
  });
}
