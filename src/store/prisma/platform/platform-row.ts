import type { InstallationId, TenantId } from "../../../domain/ids.ts";
import type { DeclarationJson } from "../../../domain/package.ts";
import type { PlatformInstallation } from "../../contracts/platform.ts";
import type * as rows from "../generated/client.ts";

/** A row of the daemon; undefined for one without a tenant, plugin or identifier. */
export function toPlatformInstallation(row: rows.PluginInstallation): PlatformInstallation | undefined {
  const { id, tenantId, pluginId, pluginUniqueIdentifier: identifier } = row;
  if (tenantId === null || pluginId === null || identifier === null) return undefined;
  return {
    id: id as InstallationId,
    tenantId: tenantId as TenantId,
    pluginId,
    identifier,
    runtimeType: row.runtimeType ?? "local",
    endpointsSetups: Number(row.endpointsSetups ?? 0n),
    endpointsActive: Number(row.endpointsActive ?? 0n),
    source: row.source ?? "",
    meta: toJsonObject(row.meta) ?? {},
    ...toTimes(row),
  };
}

/** The daemon writes both times, but its tables allow NULL. */
export function toTimes(row: { readonly createdAt: Date | null; readonly updatedAt: Date | null }) {
  const createdAt = row.createdAt ?? row.updatedAt ?? new Date(0);
  return { createdAt, updatedAt: row.updatedAt ?? createdAt };
}

/** The object in one of the daemon's JSON columns; undefined where it holds anything else. */
export function toJsonObject(text: string | null): DeclarationJson | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return value instanceof Object && !Array.isArray(value) ? (value as DeclarationJson) : undefined;
  } catch {
    return undefined;
  }
}
