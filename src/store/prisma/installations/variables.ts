import { installationNotFound } from "../../../domain/fault.ts";
import type { InstallationId, TenantId } from "../../../domain/ids.ts";
import type { PluginVariable } from "../../../domain/variables.ts";
import type { VariableRows } from "../../contracts/variables.ts";
import { type Database, jsonText, type Tx } from "../client/database.ts";
import { Prisma } from "../generated/client.ts";
import { holdKey, writeEvent } from "../tenants/audit.ts";

export function createVariableRows(db: Database): VariableRows {
  return {
    get: (id) =>
      db.run(async (prisma) => {
        const row = await prisma.installation.findUnique({ where: { id }, select: { variables: true } });
        if (row === null) throw installationNotFound(id);
        return toVariables(row.variables);
      }),
    replace: (change) => db.transaction((tx) => replace(tx, change)),
    sealedOtherwise: (keyId, after, limit) =>
      db.run(async (prisma) => {
        const own = `"berth:1:${keyId}:`;
        const rows = await prisma.$queryRaw<SealedRow[]>`
          SELECT id::text AS id, tenant_id::text AS tenant, plugin_id AS plugin, variables FROM berth_installations
          WHERE variables::text LIKE '%"berth:1:%'
            AND replace(variables::text, ${own}, '') LIKE '%"berth:1:%'
            ${after === undefined ? Prisma.empty : Prisma.sql`AND id > ${after}::uuid`}
          ORDER BY berth_installations.id LIMIT ${limit}`;
        return rows.map(({ id, tenant, plugin, variables }) => ({
          id: id as InstallationId,
          tenantId: tenant as TenantId,
          pluginId: plugin,
          variables: toVariables(variables),
        }));
      }),
  };
}

interface SealedRow {
  readonly id: string;
  readonly tenant: string;
  readonly plugin: string;
  readonly variables: unknown;
}

/** Only `replace` writes the columns. */
export function toVariables(value: unknown): readonly PluginVariable[] {
  return (value ?? []) as readonly PluginVariable[];
}

async function replace(
  tx: Tx,
  { id, variables, expected, by }: Parameters<VariableRows["replace"]>[0],
): Promise<boolean> {
  if (by !== undefined) await holdKey(tx, by);
  const text = jsonText(variables);
  const [row] = await tx.$queryRaw<{ tenant: string; pool: string | null; next: string | null }[]>`
    UPDATE berth_installations SET variables = ${text}::jsonb
    WHERE id = ${id}::uuid AND coalesce(variables, '[]'::jsonb) = ${jsonText(expected)}::jsonb
    RETURNING tenant_id::text AS tenant, pool_key AS pool, next_pool_key AS next`;
  if (row === undefined) {
    if ((await tx.installation.count({ where: { id } })) === 0) throw installationNotFound(id);
    return false;
  }
  await tx.$executeRaw`
    UPDATE berth_pools SET variables = ${text}::jsonb
    WHERE key IN (${row.pool}, ${row.next}) AND tenant_id IS NOT NULL`;
  if (by !== undefined)
    await writeEvent(tx, {
      kind: "installation.variables",
      by,
      tenantId: row.tenant,
      installationId: id,
      subject:
        variables
          .map(({ name }) => name)
          .join()
          .slice(0, 255) || "none",
      result: "done",
    });
  return true;
}

/**
 * Copies the variables, and the version of the files, of the installation that a tenant's pool serves. It waits for a change that is under way: that
 * change may not have seen the pool.
 */
export async function copyPluginParts(
  prisma: Pick<Tx, "$executeRaw">,
  { key, tenantId }: { readonly key: string; readonly tenantId: TenantId | undefined },
): Promise<void> {
  if (tenantId === undefined) return;
  await prisma.$executeRaw`
    UPDATE berth_pools SET variables = served.variables, files_version = served.files_version FROM (
      SELECT variables, files_version FROM berth_installations
      WHERE tenant_id = ${tenantId}::uuid AND (pool_key = ${key} OR next_pool_key = ${key}) FOR SHARE
    ) AS served
    WHERE key = ${key} AND (berth_pools.variables IS DISTINCT FROM served.variables
      OR berth_pools.files_version IS DISTINCT FROM served.files_version)`;
}
