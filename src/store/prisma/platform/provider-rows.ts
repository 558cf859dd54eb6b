/** The daemon's tables of installed providers, one per kind. */
import type { Package, ProviderKind } from "../../../domain/package.ts";
import type { PlatformProviderKind } from "../../contracts/platform.ts";
import { type Tx, uuid7 } from "../client/database.ts";
import { Prisma } from "../generated/client.ts";

/** Endpoints have no such table: each gets a row of its own once a tenant creates it. */
const TABLES = {
  tool: Prisma.raw("tool_installations"),
  model: Prisma.raw("ai_model_installations"),
  datasource: Prisma.raw("datasource_installations"),
  agent_strategy: Prisma.raw("agent_strategy_installations"),
  trigger: Prisma.raw("trigger_installations"),
  endpoint: undefined,
} as const satisfies Record<ProviderKind, Prisma.Sql | undefined>;

/** The table of the kind. */
export function providerTable(kind: PlatformProviderKind): Prisma.Sql {
  return TABLES[kind];
}

/** Writes one row per offered kind, in the kind's table. */
export async function insertProviders(
  tx: Tx,
  of: { readonly tenantId: string; readonly pluginId: string; readonly identifier: string },
  providers: Package["providers"],
): Promise<void> {
  const { tenantId, pluginId, identifier } = of;
  for (const { kind, name } of providers) {
    const table = TABLES[kind];
    if (table === undefined) continue;
    await tx.$executeRaw`
      INSERT INTO ${table} (id, created_at, updated_at, tenant_id, provider, plugin_unique_identifier, plugin_id)
      SELECT ${uuid7()}::uuid, at, at, ${tenantId}::uuid, ${name}, ${identifier}, ${pluginId}
      FROM clock_timestamp() AS at`;
  }
}

/** The daemon's tables allow NULL in these columns: such a value must match nothing, not everything. */
export async function removeProviders(
  tx: Tx,
  { tenantId, pluginId }: { readonly tenantId: string | null; readonly pluginId: string | null },
): Promise<void> {
  for (const table of Object.values(TABLES)) {
    if (table === undefined) continue;
    await tx.$executeRaw`DELETE FROM ${table} WHERE tenant_id = ${tenantId}::uuid AND plugin_id = ${pluginId}`;
  }
}
