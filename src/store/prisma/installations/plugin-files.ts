import { randomBytes, randomUUID } from "node:crypto";
import { installationNotFound } from "../../../domain/fault.ts";
import type { TenantId } from "../../../domain/ids.ts";
import type { PluginFile } from "../../../domain/plugin-files.ts";
import type { PluginFileRows, StoredPluginFile } from "../../contracts/plugin-files.ts";
import type { Database, Tx } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { holdKey, writeEvent } from "../tenants/audit.ts";

const LISTED = { name: true, bytes: true, sha256: true, changedAt: true } as const;

export function createPluginFileRows(db: Database): PluginFileRows {
  return {
    list: (id) => db.run((prisma) => list(prisma, id)),
    contentsOf: ({ tenantId, pluginId }) =>
      db.run(async (prisma) => {
        const owner = await prisma.installation.findUnique({
          where: { tenantId_pluginId: { tenantId, pluginId } },
          select: { id: true },
        });
        if (owner === null) return [];
        const found = await prisma.pluginFile.findMany({
          where: { installationId: owner.id },
          orderBy: { name: "asc" },
        });
        return found.map((row): StoredPluginFile => ({ ...toFile(row), content: row.content }));
      }),
    put: ({ id, file, allow, by }) =>
      db.transaction(async (tx) => {
        await holdKey(tx, by);
        // Holds the installation's row: changes of its files follow one another.
        const owner = await setVersion(tx, id, newVersion());
        allow(await list(tx, id));
        const { name, bytes, sha256 = null, content } = file;
        const data = { bytes, sha256, content, changedAt: new Date() };
        const row = await tx.pluginFile.upsert({
          where: { installationId_name: { installationId: id, name } },
          update: data,
          create: { id: randomUUID(), installationId: id, name, ...data },
          select: LISTED,
        });
        await writeChange(tx, { id, owner, name }, by);
        return toFile(row);
      }),
    remove: ({ id, name, by }) =>
      db.transaction(async (tx) => {
        await holdKey(tx, by);
        const where = { installationId: id, name };
        if ((await tx.pluginFile.count({ where })) === 0) return false;
        const owner = await setVersion(tx, id, newVersion());
        const { count } = await tx.pluginFile.deleteMany({ where });
        if ((await tx.pluginFile.count({ where: { installationId: id } })) === 0)
          await setVersion(tx, id, null);
        await writeChange(tx, { id, owner, name }, by);
        return count > 0;
      }),
    sealedOtherwise: (keyId, after, limit) =>
      db.run(async (prisma) => {
        const found = await prisma.$queryRaw<{ id: string; tenant: string; plugin: string; name: string }[]>`
          SELECT f.id::text AS id, i.tenant_id::text AS tenant, i.plugin_id AS plugin, f.name
          FROM berth_plugin_files f JOIN berth_installations i ON i.id = f.installation_id
          WHERE f.sha256 IS NULL AND NOT starts_with(f.content, ${`berth:1:${keyId}:`})
            ${after === undefined ? Prisma.empty : Prisma.sql`AND f.id > ${after}::uuid`}
          ORDER BY f.id LIMIT ${limit}`;
        return found.map(({ id, tenant, plugin, name }) => ({
          id,
          tenantId: tenant as TenantId,
          pluginId: plugin,
          name,
        }));
      }),
    reseal: (id, change) =>
      db.run(async (prisma) => {
        const row = await prisma.pluginFile.findUnique({ where: { id }, select: { content: true } });
        if (row === null) return;
        const { content } = row;
        await prisma.pluginFile.updateMany({ where: { id, content }, data: { content: change(content) } });
      }),
  };
}

async function list(prisma: Pick<Tx, "pluginFile">, installationId: string): Promise<readonly PluginFile[]> {
  const where = { installationId };
  return (await prisma.pluginFile.findMany({ where, orderBy: { name: "asc" }, select: LISTED })).map(toFile);
}

function toFile({
  name,
  bytes,
  sha256,
  changedAt,
}: Pick<rows.PluginFile, "name" | "bytes" | "sha256" | "changedAt">): PluginFile {
  return { name, bytes, sha256: sha256 ?? undefined, changedAt };
}

function newVersion(): string {
  return randomBytes(8).toString("hex");
}

/** Resolves with the tenant. */
async function setVersion(tx: Tx, id: string, version: string | null): Promise<string> {
  const [row] = await tx.$queryRaw<{ tenant: string; pool: string | null; next: string | null }[]>`
    UPDATE berth_installations SET files_version = ${version} WHERE id = ${id}::uuid
    RETURNING tenant_id::text AS tenant, pool_key AS pool, next_pool_key AS next`;
  if (row === undefined) throw installationNotFound(id);
  await tx.$executeRaw`
    UPDATE berth_pools SET files_version = ${version}
    WHERE key IN (${row.pool}, ${row.next}) AND tenant_id IS NOT NULL`;
  return row.tenant;
}

async function writeChange(
  tx: Tx,
  { id, owner, name }: { readonly id: string; readonly owner: string; readonly name: string },
  by: Parameters<PluginFileRows["put"]>[0]["by"],
): Promise<void> {
  await writeEvent(tx, {
    kind: "installation.files",
    by,
    tenantId: owner,
    installationId: id,
    subject: name,
    result: "done",
  });
}
