/**
 * The two transactions that create, change and remove the daemon's rows of an installation. They write `plugins` first, in
 * the order of the identifiers: its locks put changes of the same identifier in order, for whichever tenants.
 */
import { type InstallationTask, isTenantTask } from "../../../domain/task.ts";
import { storableJson } from "../../../util/storable.ts";
import type { Published } from "../../contracts/installations.ts";
import { jsonText, jsonValue, type Tx, uuid7 } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { makeSureOfDeclaration, toPackage } from "../packages/packages.ts";
import { insertProviders, removeProviders } from "../platform/provider-rows.ts";
import { toTask } from "../tasks/task-row.ts";
import { endTask, type Fence, holdTask, leaseLost } from "../tasks/task-writes.ts";
import { movePools } from "./undo-change.ts";

/** The transaction behind `publishReady`. */
export async function publishReady(tx: Tx, fence: Fence, published: Published): Promise<void> {
  const row = await holdTask(tx, fence);
  const task = toTask(row);
  if (isTenantTask(task) || task.kind === "uninstall") throw leaseLost(task.id);
  const installed = await tx.installation.findUnique({ where: { id: task.installationId } });
  if (installed === null) throw leaseLost(task.id);
  const origin = originOf(task, installed, published);
  const to = {
    identifier: task.identifier,
    ...origin,
    platformSource: platformSource(origin, task),
    runtimeType: "local",
  } as const;
  await publishRows(tx, installed, to);
  if (to.identifier !== installed.identifier) await rememberPrevious(tx, installed, to);
  await movePools(tx, installed, { isOther: to.identifier !== installed.identifier });
  const { limitsAsked, limitsGranted, limitsWanted, limitsApplied, warnings, trust } = published;
  if (limitsApplied !== undefined)
    await tx.$executeRaw`
      UPDATE berth_tasks SET input = coalesce(input, '{}'::jsonb) || ${jsonText({ limitsApplied })}::jsonb
      WHERE id = ${task.id}::uuid`;
  await tx.$executeRaw`
    UPDATE berth_installations SET state = CASE WHEN desired = 'disabled' THEN 'disabled' ELSE 'ready' END,
      cause = NULL, generation = generation + 1,
      limits_asked = coalesce(${jsonText(limitsAsked)}::jsonb, limits_asked),
      limits_granted = coalesce(${jsonText(limitsGranted)}::jsonb, limits_granted),
      limits_wanted = coalesce(${jsonText(limitsWanted)}::jsonb, limits_wanted),
      warnings = coalesce(${jsonText(warnings)}::jsonb, warnings),
      previous_trust = CASE WHEN trust ->> 'identifier' <> ${to.identifier} THEN trust ELSE previous_trust END,
      trust = coalesce(${jsonText(trust)}::jsonb,
        CASE ${to.identifier} WHEN trust ->> 'identifier' THEN trust
          WHEN previous_trust ->> 'identifier' THEN previous_trust END), updated_at = clock_timestamp()
    WHERE id = ${installed.id}::uuid`;
  await endTask(tx, task.id, { type: "end", state: "ready" });
}

interface Origin {
  readonly source: string;
  readonly meta: object;
}
type Moved = Origin & {
  readonly identifier: string;
  readonly platformSource: string;
  /** `local` where Berth runs the plugin, `remote` where its author does. */
  readonly runtimeType: "local" | "remote";
};

/** The origin of the identifier; a rollback restores that of the previous one. */
function originOf(
  { kind, identifier }: InstallationTask,
  installed: rows.Installation,
  { origin }: Published,
): Origin {
  const { source, meta, previousSource, previousMeta } = installed;
  if (identifier === installed.identifier) return { source, meta: Object(meta) };
  if (origin !== undefined) return origin;
  return kind === "rollback" && previousSource !== null
    ? { source: previousSource, meta: Object(previousMeta) }
    : { source: "package", meta: {} };
}

async function rememberPrevious(tx: Tx, before: rows.Installation, to: Moved): Promise<void> {
  const data = {
    identifier: to.identifier,
    source: to.source,
    meta: jsonValue(to.meta),
    ...(before.generation > 0 && {
      previousIdentifier: before.identifier,
      previousSource: before.source,
      previousMeta: before.meta ?? Prisma.DbNull,
    }),
  };
  await tx.installation.update({ where: { id: before.id }, data });
}

/** Brings the daemon's rows to the identifier, whichever one they have. */
export async function publishRows(
  tx: Tx,
  { id, tenantId, pluginId }: rows.Installation,
  to: Moved,
): Promise<void> {
  const { identifier } = to;
  const row = await tx.package.findUniqueOrThrow({ where: { identifier } });
  const before = await tx.pluginInstallation.findFirst({ where: { tenantId, pluginId } });
  if (before?.pluginUniqueIdentifier !== identifier) {
    const unused = await countReferences(tx, {
      pluginId,
      from: before?.pluginUniqueIdentifier ?? undefined,
      to,
    });
    const said = {
      pluginUniqueIdentifier: identifier,
      source: to.platformSource,
      meta: storableJson(to.meta),
    };
    if (before === null)
      await tx.$executeRaw`
        INSERT INTO plugin_installations (id, created_at, updated_at, tenant_id, plugin_id, plugin_unique_identifier,
          runtime_type, endpoints_setups, endpoints_active, source, meta)
        SELECT ${id}::uuid, at, at, ${tenantId}::uuid, ${pluginId}, ${identifier}, ${to.runtimeType}, kept.setups, kept.active,
          ${said.source}, ${said.meta}
        FROM clock_timestamp() AS at, (
          SELECT count(*) AS setups, count(*) FILTER (WHERE enabled) AS active FROM endpoints
          WHERE tenant_id = ${tenantId} AND plugin_id = ${pluginId}
        ) AS kept`;
    else {
      await tx.pluginInstallation.update({
        where: { id: before.id },
        data: { ...said, updatedAt: new Date() },
      });
      await removeProviders(tx, { tenantId, pluginId });
    }
    await insertProviders(tx, { tenantId, pluginId, identifier }, toPackage(row).providers);
    if (unused !== undefined) await removeUnused(tx, unused);
  }
  await makeSureOfDeclaration(tx, { identifier, pluginId, declaration: row.declaration });
}

/** The platform's name of the source, where it gave one. It has none for a URL, which counts as an uploaded archive. */
function platformSource({ source }: Origin, { input }: InstallationTask): string {
  const given = input["platformSource"];
  if (typeof given === "string") return given;
  return source === "url" ? "package" : source;
}

/** Moves one reference from an identifier, if any, to another. Answers the identifier without references, if any. */
async function countReferences(
  tx: Tx,
  {
    pluginId,
    from,
    to,
  }: { readonly pluginId: string; readonly from: string | undefined; readonly to: Moved },
): Promise<string | undefined> {
  let unused: string | undefined;
  // In the order of identifiers: two tenants with opposite changes do not deadlock.
  for (const identifier of [to.identifier, ...(from === undefined ? [] : [from])].sort()) {
    if (identifier === to.identifier) {
      const manifestType = from === undefined ? "" : "plugin";
      await tx.$executeRaw`
        INSERT INTO plugins AS p (id, created_at, updated_at, plugin_unique_identifier, plugin_id, refers,
          install_type, manifest_type, source)
        SELECT ${uuid7()}::uuid, at, at, ${identifier}, ${pluginId}, 1, ${to.runtimeType}, ${manifestType},
          ${to.platformSource}
        FROM clock_timestamp() AS at
        ON CONFLICT (plugin_unique_identifier) DO UPDATE SET refers = coalesce(p.refers, 0) + 1,
          updated_at = excluded.updated_at`;
    } else if (await dropReference(tx, identifier)) unused = identifier;
  }
  return unused;
}

/** Answers whether it has no reference any more. */
async function dropReference(tx: Tx, identifier: string | null): Promise<boolean> {
  const left = await tx.$queryRaw<{ refers: bigint }[]>`
    UPDATE plugins SET refers = coalesce(refers, 0) - 1, updated_at = clock_timestamp()
    WHERE plugin_unique_identifier = ${identifier} RETURNING refers`;
  return !left.some(({ refers }) => refers > 0n);
}

async function removeUnused(tx: Tx, identifier: string | null): Promise<void> {
  const unused = { pluginUniqueIdentifier: identifier };
  await tx.plugin.deleteMany({ where: unused });
  await tx.pluginDeclaration.deleteMany({ where: unused });
  await tx.serverlessRuntime.deleteMany({ where: unused });
}

/** The transaction behind `publishRemoved`. */
export async function publishRemoved(tx: Tx, fence: Fence): Promise<void> {
  const task = await holdTask(tx, fence);
  const id = task.installationId;
  if (task.kind !== "uninstall" || id === null) throw leaseLost(task.id);
  const installed = await tx.pluginInstallation.findUnique({ where: { id } });
  if (installed !== null) await unpublishRows(tx, installed);
  if (toTask(task).input["purge"] === true) await purgeRows(tx, id);
  await tx.installation.deleteMany({ where: { id } });
  await noteRemoved(tx, id);
  await endTask(tx, task.id, { type: "end", state: "ready" });
}

/** Tells the processes, at their next read, that the installation is gone. */
export async function noteRemoved(tx: Tx, id: string): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO berth_removed_installations (id) VALUES (${id}::uuid)
    ON CONFLICT (id) DO UPDATE SET removed_at = clock_timestamp()`;
  await tx.$executeRaw`
    DELETE FROM berth_removed_installations WHERE removed_at < clock_timestamp() - interval '7 days'`;
}

/** Removes the rows of what the plugin stores for the tenant. */
async function purgeRows(tx: Tx, id: string): Promise<void> {
  const found = await tx.installation.findUnique({ where: { id } });
  if (found === null) return;
  const { tenantId, pluginId } = found;
  await tx.endpoint.deleteMany({ where: { tenantId, pluginId } });
  await tx.tenantStorage.deleteMany({ where: { tenantId, pluginId } });
}

/** Removes the daemon's rows of one installation, and those of its identifier where that has no other reference. */
export async function unpublishRows(tx: Tx, installed: rows.PluginInstallation): Promise<void> {
  const { tenantId, pluginId, pluginUniqueIdentifier: identifier } = installed;
  const isUnused = await dropReference(tx, identifier);
  await tx.pluginInstallation.delete({ where: { id: installed.id } });
  await removeProviders(tx, { tenantId, pluginId });
  if (isUnused) await removeUnused(tx, identifier);
}
