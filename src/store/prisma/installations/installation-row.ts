import type { InstallationId, TenantId } from "../../../domain/ids.ts";
import type { Installation } from "../../../domain/installation.ts";
import type { LimitsAsked, LimitsWanted } from "../../../domain/limits.ts";
import type { TrustDecision } from "../../../domain/trust.ts";
import { readLimits, toCause } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { toPermissions } from "./permissions.ts";

export function toInstallation(row: rows.Installation): Installation {
  return {
    id: row.id as InstallationId,
    tenantId: row.tenantId as TenantId,
    pluginId: row.pluginId,
    identifier: row.identifier,
    previousIdentifier: row.previousIdentifier ?? undefined,
    previousImageKey: row.previousImageKey ?? undefined,
    desired: row.desired as Installation["desired"],
    state: row.state as Installation["state"],
    cause: toCause(row.cause),
    generation: row.generation,
    limitsAsked: row.limitsAsked as unknown as LimitsAsked,
    limitsGranted: readLimits(row.limitsGranted),
    limitsWanted: (row.limitsWanted ?? {}) as LimitsWanted,
    permissions: toPermissions(row.permissions),
    poolKey: row.poolKey ?? undefined,
    nextPoolKey: row.nextPoolKey ?? undefined,
    source: row.source,
    meta: row.meta as Record<string, unknown>,
    warnings: row.warnings as string[],
    trust: (row.trust ?? undefined) as TrustDecision | undefined,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}
