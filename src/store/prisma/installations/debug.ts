import { Fault } from "../../../domain/fault.ts";
import type { InstallationId, RuntimeId, TenantId } from "../../../domain/ids.ts";
import { REMOTE } from "../../../domain/installation.ts";
import type { RuntimeEnd } from "../../../domain/runtime.ts";
import type { TenantQuotas } from "../../../domain/tenant-quotas.ts";
import type {
  DebugConnect,
  DebugConnected,
  DebugDisconnected,
  DebugRows,
  StoredDebuggingKey,
} from "../../contracts/debug.ts";
import { type Database, json, jsonValue, type Tx, uuid7 } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { insertPackage } from "../packages/packages.ts";
import { holdKey, holdTenant, writeEvent } from "../tenants/audit.ts";
import { checkInstallations, serializeTenant } from "../tenants/tenant-quotas.ts";
import { noteRemoved, publishRows, unpublishRows } from "./publication.ts";

/** The process of connection `c` is not alive. */
export const UNATTENDED = Prisma.sql`NOT EXISTS (
  SELECT 1 FROM berth_processes p WHERE p.id = c.process_id AND p.expires_at > clock_timestamp())`;

export function createDebugRows(db: Database): DebugRows {
  return {
    issueKey: (tenantId, key) => db.transaction((tx) => issueKey(tx, tenantId, key)),
    useKey: (hash, lifeMs) =>
      db.run(async (prisma) => {
        const [row] = await prisma.$queryRaw<{ tenant_id: string }[]>`
          UPDATE berth_debugging_keys
          SET expires_at = clock_timestamp() + ${lifeMs}::float8 * interval '1 millisecond'
          WHERE hash = ${hash} AND expires_at > clock_timestamp() RETURNING tenant_id`;
        return row?.tenant_id as TenantId | undefined;
      }),
    connect: (request) => db.transaction((tx) => connect(tx, request, db.tenantDefaults)),
    disconnect: (runtimeId, end) => db.transaction((tx) => disconnect(tx, runtimeId, end)),
    listOfProcess: (processId) =>
      db.run(async (prisma) => {
        const found = await prisma.$queryRaw<{ runtime_id: string; is_installed: boolean }[]>`
          SELECT c.runtime_id, coalesce(i.desired <> 'removed', false) AS is_installed
          FROM berth_debug_connections c LEFT JOIN berth_installations i ON i.id = c.installation_id
          WHERE c.process_id = ${processId}`;
        return found.map((row) => ({
          runtimeId: row.runtime_id as RuntimeId,
          isInstalled: row.is_installed,
        }));
      }),
    listAbandoned: async () => {
      if (!(await db.watch.hasWork("debugConnections"))) return [];
      return await db.run(async (prisma) => {
        const found = await prisma.$queryRaw<{ runtime_id: string }[]>`
          SELECT c.runtime_id FROM berth_debug_connections c WHERE ${UNATTENDED}`;
        return found.map((row) => row.runtime_id as RuntimeId);
      });
    },
  };
}

async function issueKey(
  tx: Tx,
  tenantId: TenantId,
  { made, isUsable, lifeMs, by }: Parameters<DebugRows["issueKey"]>[1],
): Promise<StoredDebuggingKey> {
  await serializeTenant(tx, tenantId);
  await holdTenant(tx, tenantId);
  await holdKey(tx, by);
  const [known] = await tx.$queryRaw<{ sealed: string }[]>`
    SELECT sealed FROM berth_debugging_keys
    WHERE tenant_id = ${tenantId}::uuid AND expires_at > clock_timestamp()`;
  const isNew = known === undefined || !isUsable(known.sealed);
  if (isNew) {
    await tx.debuggingKey.deleteMany({ where: { tenantId } });
    await tx.debuggingKey.create({ data: { tenantId, ...made, expiresAt: new Date(0) } });
    await writeEvent(tx, { kind: "debugging_key.create", by, tenantId, subject: tenantId, result: "done" });
  }
  const [row] = await tx.$queryRaw<{ hash: string; sealed: string; expires_at: Date }[]>`
    UPDATE berth_debugging_keys SET expires_at = clock_timestamp() + ${lifeMs}::float8 * interval '1 millisecond'
    WHERE tenant_id = ${tenantId}::uuid RETURNING hash, sealed, expires_at`;
  if (row === undefined) throw new Error("the key that was just written is gone");
  return { hash: row.hash, sealed: row.sealed, expiresAt: row.expires_at };
}

async function connect(tx: Tx, request: DebugConnect, defaults: TenantQuotas): Promise<DebugConnected> {
  const { tenantId, pkg, limits, runtimeId, poolKey, processId } = request;
  const { pluginId, identifier } = pkg;
  await serializeTenant(tx, tenantId);
  await holdTenant(tx, tenantId);
  const replaced = await makeRoom(tx, request);
  await insertPackage(tx, pkg, { operatorKept: false });
  const installed = await tx.installation.create({
    data: {
      id: uuid7(),
      tenantId,
      pluginId,
      identifier,
      poolKey,
      desired: "enabled",
      state: "ready",
      generation: 1,
      limitsAsked: jsonValue(pkg.limitsAsked),
      limitsGranted: jsonValue(limits),
      source: REMOTE,
      meta: {},
      warnings: jsonValue(pkg.warnings),
    },
  });
  await checkInstallations(tx, tenantId, defaults);
  const origin = { identifier, source: REMOTE, meta: {}, platformSource: REMOTE };
  await publishRows(tx, installed, { ...origin, runtimeType: "remote" });
  const generation = await nextGeneration(tx, poolKey);
  const readyAt = new Date();
  const runtime = { id: runtimeId, poolKey, slot: 0, generation, containerName: `debug-${runtimeId}` };
  await tx.runtime.create({
    data: { ...runtime, specHash: "", state: "ready", readyAt, tenantId, pluginId, identifier },
  });
  const installationId = installed.id as InstallationId;
  await tx.debugConnection.create({ data: { runtimeId, processId, tenantId, installationId } });
  const event = { by: undefined, tenantId, installationId, subject: identifier, result: "done" } as const;
  await writeEvent(tx, { kind: "installation.connect", ...event });
  return { installationId, replaced };
}

/** Removes an earlier connection of the plugin; throws where there is an installation of another kind. */
async function makeRoom(
  tx: Tx,
  { tenantId, pkg: { pluginId } }: DebugConnect,
): Promise<DebugDisconnected | undefined> {
  await tx.$queryRaw`
    SELECT id FROM berth_installations
    WHERE tenant_id = ${tenantId}::uuid AND plugin_id = ${pluginId} FOR UPDATE`;
  const found = await tx.installation.findUnique({ where: { tenantId_pluginId: { tenantId, pluginId } } });
  const published = await tx.pluginInstallation.findFirst({ where: { tenantId, pluginId } });
  // A daemon that was killed has left the rows of its own debug connections.
  if (found === null && published?.runtimeType === "remote") {
    await unpublishRows(tx, published);
    return undefined;
  }
  const isOurs = found === null ? published === null : found.source === REMOTE && found.desired !== "removed";
  if (!isOurs) throw installedAlready(pluginId, found?.identifier ?? published?.pluginUniqueIdentifier ?? "");
  if (found === null) return undefined;
  const connection = await tx.debugConnection.findFirst({ where: { installationId: found.id } });
  const end = { reason: "replaced" } as const;
  if (connection !== null) return await disconnect(tx, connection.runtimeId as RuntimeId, end);
  await removeInstallation(tx, found);
  return undefined;
}

function installedAlready(pluginId: string, identifier: string): Fault {
  return new Fault(
    "conflict",
    `The tenant has ${pluginId} installed from a package (${identifier}): uninstall it first, or debug in another tenant.`,
    { details: { field: "plugin", value: pluginId, accepted: "a plugin that is not installed" } },
  );
}

async function nextGeneration(tx: Tx, poolKey: string): Promise<number> {
  const { _max } = await tx.runtime.aggregate({ where: { poolKey }, _max: { generation: true } });
  return (_max.generation ?? 0) + 1;
}

async function disconnect(
  tx: Tx,
  runtimeId: RuntimeId,
  end: RuntimeEnd,
): Promise<DebugDisconnected | undefined> {
  const [held] = await tx.$queryRaw<{ installation_id: string }[]>`
    SELECT installation_id FROM berth_debug_connections WHERE runtime_id = ${runtimeId} FOR UPDATE`;
  if (held === undefined) return undefined;
  const installationId = held.installation_id as InstallationId;
  await tx.debugConnection.delete({ where: { runtimeId } });
  await tx.runtime.updateMany({
    where: { id: runtimeId, state: { not: "ended" } },
    data: { state: "ended", endedAt: new Date(), end: json(end) },
  });
  const runtime = await tx.runtime.findUnique({ where: { id: runtimeId } });
  const installed = await tx.installation.findUnique({ where: { id: installationId } });
  // An uninstall that was accepted removes the installation by its task.
  if (installed !== null && installed.desired !== "removed") await removeInstallation(tx, installed);
  const identifier = runtime?.identifier ?? "";
  return {
    runtimeId,
    poolKey: runtime?.poolKey ?? "",
    installationId,
    unused: (await removePackage(tx, identifier)) ? identifier : undefined,
  };
}

async function removeInstallation(tx: Tx, { id, tenantId, identifier }: rows.Installation): Promise<void> {
  const published = await tx.pluginInstallation.findUnique({ where: { id } });
  if (published !== null) await unpublishRows(tx, published);
  await tx.installation.delete({ where: { id } });
  await noteRemoved(tx, id);
  const event = { by: undefined, tenantId, installationId: id, subject: identifier, result: "done" } as const;
  await writeEvent(tx, { kind: "installation.disconnect", ...event });
}

/** Answers whether nothing needs the package any more: its row is gone then. */
async function removePackage(tx: Tx, identifier: string): Promise<boolean> {
  const removed = await tx.$executeRaw`
    DELETE FROM berth_packages p WHERE p.identifier = ${identifier} AND NOT p.operator_kept
      AND NOT EXISTS (SELECT 1 FROM berth_package_uploaders u WHERE u.identifier = p.identifier)
      AND NOT EXISTS (SELECT 1 FROM berth_installations i WHERE i.identifier = p.identifier)`;
  if (removed > 0) await tx.pluginDeclaration.deleteMany({ where: { pluginUniqueIdentifier: identifier } });
  return removed > 0;
}
