import { randomUUID } from "node:crypto";
import type { TenantId } from "../../../src/domain/ids.ts";
import type { Store } from "../../../src/store/store.ts";
import { LIMITS } from "../samples/tenant-rows.ts";

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
