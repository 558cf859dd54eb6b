/**
 * The two transactions that make and unmake the daemon's rows of an Installation. The `plugins` row is written first
 * in both: its lock orders an install and an uninstall of the same identifier, whatever tenants they are for.
 */
import type { ProviderKind } from "../../domain/package.ts";
import type { Tx } from "./database.ts";
import type * as rows from "./generated/client.ts";
import { makeSureOfDeclaration } from "./packages.ts";
import { toPackage } from "./rows.ts";
import { endTask, type Fence, holdTask, leaseLost } from "./task-writes.ts";
import { uuid7 } from "./uuid7.ts";

/** The transaction behind `publishReady`. */
export async function publishReady(tx: Tx, fence: Fence): Promise<void> {
  const task = await holdTask(tx, fence);
  const id = task.installationId;
  const installed = id === null ? null : await tx.installation.findUnique({ where: { id } });
  if (task.kind !== "install" || installed === null) throw leaseLost(task.id);
  await publishRows(tx, installed);
  await tx.$executeRaw`
    UPDATE berth_installations SET state = CASE WHEN desired = 'disabled' THEN 'disabled' ELSE 'ready' END,
      cause = NULL, generation = generation + 1, updated_at = clock_timestamp()
    WHERE id = ${installed.id}::uuid`;
  await endTask(tx, task.id, { type: "end", state: "ready" });
}

async function publishRows(tx: Tx, installed: rows.Installation): Promise<void> {
  const { id, tenantId, pluginId, identifier, source } = installed;
  const now = new Date();
  const times = { createdAt: now, updatedAt: now };
  const row = await tx.package.findUniqueOrThrow({ where: { identifier } });
  const counted = await tx.pluginInstallation.count({ where: { tenantId, pluginId } });
  if (counted === 0) {
    await tx.$executeRaw`
      INSERT INTO plugins AS p (id, created_at, updated_at, plugin_unique_identifier, plugin_id, refers,
        install_type, manifest_type, source)
      VALUES (${uuid7()}::uuid, ${now}, ${now}, ${identifier}, ${pluginId}, 1, 'local', '', ${source})
      ON CONFLICT (plugin_unique_identifier) DO UPDATE SET refers = coalesce(p.refers, 0) + 1, updated_at = ${now}`;
    await tx.pluginInstallation.create({
      data: {
        ...{ id, ...times, tenantId, pluginId, pluginUniqueIdentifier: identifier, runtimeType: "local" },
        ...{ endpointsSetups: 0, endpointsActive: 0, source, meta: JSON.stringify(installed.meta) },
      },
    });
    for (const { kind, name } of toPackage(row).providers)
      await PROVIDER_ROWS[kind]?.create(tx, {
        ...{ id: uuid7(), ...times, tenantId, pluginId },
        ...{ provider: name, pluginUniqueIdentifier: identifier },
      });
  }
  await makeSureOfDeclaration(tx, { identifier, pluginId, declaration: row.declaration });
}

/** The transaction behind `publishRemoved`. */
export async function publishRemoved(tx: Tx, fence: Fence): Promise<void> {
  const task = await holdTask(tx, fence);
  const id = task.installationId;
  if (task.kind !== "uninstall" || id === null) throw leaseLost(task.id);
  const installed = await tx.pluginInstallation.findUnique({ where: { id } });
  if (installed !== null) await unpublishRows(tx, installed);
  await tx.installation.deleteMany({ where: { id } });
  await tx.$executeRaw`
    INSERT INTO berth_removed_installations (id) VALUES (${id}::uuid)
    ON CONFLICT (id) DO UPDATE SET removed_at = clock_timestamp()`;
  await tx.$executeRaw`
    DELETE FROM berth_removed_installations WHERE removed_at < clock_timestamp() - interval '7 days'`;
  await endTask(tx, task.id, { type: "end", state: "ready" });
}

/** The daemon's rows of one Installation, as they were before it; the reference count tells whether others go with it. */
export async function unpublishRows(tx: Tx, installed: rows.PluginInstallation): Promise<void> {
  const { tenantId, pluginId, pluginUniqueIdentifier: identifier } = installed;
  const left = await tx.$queryRaw<{ refers: bigint }[]>`
    UPDATE plugins SET refers = coalesce(refers, 0) - 1, updated_at = clock_timestamp()
    WHERE plugin_unique_identifier = ${identifier} RETURNING refers`;
  await tx.pluginInstallation.delete({ where: { id: installed.id } });
  for (const table of Object.values(PROVIDER_ROWS)) await table?.remove(tx, { tenantId, pluginId });
  if (left.some(({ refers }) => refers > 0n)) return;
  const unused = { pluginUniqueIdentifier: identifier };
  await tx.plugin.deleteMany({ where: unused });
  await tx.pluginDeclaration.deleteMany({ where: unused });
  await tx.serverlessRuntime.deleteMany({ where: unused });
}

type ProviderRow = Required<{
  [K in keyof rows.ToolInstallation]: NonNullable<rows.ToolInstallation[K]>;
}>;
interface ProviderTable {
  create(tx: Tx, data: ProviderRow): Promise<unknown>;
  remove(tx: Tx, where: { tenantId: string | null; pluginId: string | null }): Promise<unknown>;
}

/** One table per kind. Endpoints have rows only once somebody sets one up. */
const PROVIDER_ROWS: Record<ProviderKind, ProviderTable | undefined> = {
  tool: {
    create: (tx, data) => tx.toolInstallation.create({ data }),
    remove: (tx, where) => tx.toolInstallation.deleteMany({ where: whole(where) }),
  },
  model: {
    create: (tx, data) => tx.aiModelInstallation.create({ data }),
    remove: (tx, where) => tx.aiModelInstallation.deleteMany({ where: whole(where) }),
  },
  datasource: {
    create: (tx, data) => tx.datasourceInstallation.create({ data }),
    remove: (tx, where) => tx.datasourceInstallation.deleteMany({ where: whole(where) }),
  },
  agent_strategy: {
    create: (tx, data) => tx.agentStrategyInstallation.create({ data }),
    remove: (tx, where) => tx.agentStrategyInstallation.deleteMany({ where: whole(where) }),
  },
  trigger: {
    create: (tx, data) => tx.triggerInstallation.create({ data }),
    remove: (tx, where) => tx.triggerInstallation.deleteMany({ where: whole(where) }),
  },
  endpoint: undefined,
};

/** The columns may be empty in the daemon's table; an empty one must match nothing, and never everything. */
function whole({ tenantId, pluginId }: { tenantId: string | null; pluginId: string | null }) {
  return { tenantId: { in: tenantId === null ? [] : [tenantId] }, pluginId };
}
