import { createHash } from "node:crypto";
import type { TenantId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import type { Limits } from "../../domain/limits.ts";

export type Isolation = "tenant" | "shared";

/** Whether Tenants share the Containers of an image. Only the operator decides it, for all plugins or for one. */
export interface IsolationSettings {
  readonly default: Isolation;
  /** By `author/name`. */
  readonly plugins: Readonly<Record<string, Isolation>>;
}

export interface PoolShape {
  readonly tenantId: TenantId | undefined;
  readonly limits: Limits;
}

/**
 * Who a Pool serves and what it may use. In a shared one no Tenant's request counts: limits are the operator's
 * defaults.
 */
export function poolShape(
  installation: Installation,
  isolation: IsolationSettings,
  defaults: Limits,
): PoolShape {
  const mode = Object.hasOwn(isolation.plugins, installation.pluginId)
    ? isolation.plugins[installation.pluginId]
    : isolation.default;
  return mode === "shared"
    ? { tenantId: undefined, limits: defaults }
    : { tenantId: installation.tenantId, limits: installation.limitsGranted };
}

/** Key of the Pool that serves an image for one Tenant, or for all of them where `tenantId` is undefined: 16 hex digits. */
export function poolKey(imageKey: string, tenantId: TenantId | undefined): string {
  return createHash("sha256")
    .update(`${imageKey}\n${tenantId ?? "shared"}`)
    .digest("hex")
    .slice(0, 16);
}
