import { createHash } from "node:crypto";
import type { TenantId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import type { Limits } from "../../domain/limits.ts";

export type Isolation = "tenant" | "shared";

/** Whether tenants share the containers of an image. The operator alone decides it, for all plugins or for one. */
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
 * The tenant that a pool serves, and its limits. A shared pool serves all tenants under the operator's default limits,
 * whatever a tenant asks for.
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

/** Key of the pool that serves an image for one tenant, or for all of them where `tenantId` is undefined: 16 hex digits. */
export function poolKey(imageKey: string, tenantId: TenantId | undefined): string {
  return createHash("sha256")
    .update(`${imageKey}\n${tenantId ?? "shared"}`)
    .digest("hex")
    .slice(0, 16);
}
