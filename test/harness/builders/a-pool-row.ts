import { randomUUID } from "node:crypto";
import type { TenantId } from "../../../src/domain/ids.ts";
import type { Store } from "../../../src/store/store.ts";
import { anInstall, aPackage, aTenant, LIMITS } from "../samples/tenant-rows.ts";

/** A key that no other pool has. */
export const aPoolKey = (): string => randomUUID().replaceAll("-", "").slice(0, 16);

/** Makes the row of a pool of that package: the tenant's own, or a shared one. */
export function ensurePool(
  store: Store,
  {
    key,
    tenantId,
    isShared = false,
    pkg: { pluginId, identifier },
  }: {
    readonly key: string;
    readonly tenantId: TenantId;
    readonly isShared?: boolean;
    readonly pkg: { readonly pluginId: string; readonly identifier: string };
  },
) {
  return store.pools.ensure({
    key,
    tenantId: isShared ? undefined : tenantId,
    pluginId,
    identifier,
    imageKey: key,
    imageRef: key,
    runner: { entrypoint: "main" },
    limits: LIMITS,
    wanted: true,
  });
}

/** A new tenant's installation of a new package; `ensure` makes rows of pools of that package. */
export async function anInstalledPlugin(store: Store) {
  const tenantId = aTenant();
  const pkg = aPackage();
  await store.packages.put(pkg, { tenantId });
  const { installation } = await store.installations.acceptInstall(anInstall(pkg, tenantId));
  const ensure = (key: string, isShared = false) => ensurePool(store, { key, tenantId, isShared, pkg });
  return { id: installation.id, tenantId, pluginId: pkg.pluginId, ensure };
}
