/** Takes over one page of the daemon's installations in one transaction, with a fixed number of statements. */
import { BERTH_ITSELF } from "../../../domain/audit.ts";
import { storableJson } from "../../../util/storable.ts";
import type { Adopted, TakeoverRows } from "../../contracts/takeover.ts";
import { type Tx, uuid7 } from "../client/database.ts";
import { Prisma } from "../generated/client.ts";

interface Found {
  readonly id: string;
  readonly tenant_id: string;
  readonly plugin_id: string;
  readonly identifier: string;
  readonly source: string | null;
  readonly meta: string | null;
  readonly created_at: Date | null;
}

/** A row `i` of the daemon that Berth has not taken over, and that a container can serve. Older daemons left the column empty. */
export const ADOPTABLE = Prisma.sql`i.tenant_id IS NOT NULL AND i.plugin_id <> '' AND i.plugin_unique_identifier <> ''
  AND coalesce(i.runtime_type, '') IN ('', 'local')
  AND NOT EXISTS (SELECT 1 FROM berth_installations b WHERE b.id = i.id)
  AND NOT EXISTS (SELECT 1 FROM berth_installations b WHERE b.tenant_id = i.tenant_id AND b.plugin_id = i.plugin_id)
  AND NOT EXISTS (SELECT 1 FROM berth_tenants t WHERE t.id = i.tenant_id AND t.removing_task_id IS NOT NULL)`;

/** The transaction behind `adopt`. */
export async function adopt(
  tx: Tx,
  { after, limit, limits }: Parameters<TakeoverRows["adopt"]>[0],
): Promise<Adopted & { readonly last: string | undefined }> {
  const further = after === undefined ? Prisma.empty : Prisma.sql`AND i.id > ${after}::uuid`;
  const found = await tx.$queryRaw<Found[]>`
    SELECT i.id, i.tenant_id, i.plugin_id, i.plugin_unique_identifier AS identifier, i.source, i.meta, i.created_at
    FROM plugin_installations i WHERE ${ADOPTABLE} ${further} ORDER BY i.id LIMIT ${limit} FOR UPDATE OF i`;
  const last = found.at(-1)?.id;
  if (last === undefined) return { installations: 0, countsMended: 0, endpointCountsMended: 0, last };
  const adopted = await insert(tx, storableJson(await ofTenantsThatStay(tx, found)), storableJson(limits));
  return { installations: adopted.length, ...(await correctCounts(tx, adopted)), last };
}

/** Leaves out tenants that are being removed: a takeover must not create them again. */
async function ofTenantsThatStay(tx: Tx, found: readonly Found[]): Promise<readonly object[]> {
  const tenants = [...new Set(found.map(({ tenant_id }) => tenant_id))].sort();
  const ids = Prisma.join(tenants.map((id) => Prisma.sql`(${id}::uuid)`));
  await tx.$executeRaw`INSERT INTO berth_tenants (id) VALUES ${ids} ON CONFLICT (id) DO NOTHING`;
  const staying = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM berth_tenants WHERE id IN (${Prisma.join(tenants.map((id) => Prisma.sql`${id}::uuid`))})
      AND removing_task_id IS NULL ORDER BY id FOR SHARE`;
  const stays = new Set(staying.map(({ id }) => id));
  return found
    .filter(({ tenant_id }) => stays.has(tenant_id))
    .map(({ source, meta, created_at, ...row }) => ({
      ...row,
      task_id: uuid7(),
      event_id: uuid7(),
      created_at,
      source: source === null || source === "" ? "package" : source,
      meta: objectOf(meta),
    }));
}

function objectOf(text: string | null): object {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

const ROWS = (records: string) => Prisma.sql`
  jsonb_to_recordset(${records}::jsonb) AS r(id uuid, tenant_id uuid, plugin_id text, identifier text, source text,
    meta jsonb, created_at timestamptz, task_id uuid, event_id uuid)`;

/** Answers the ids of the rows that this call has written. Their tasks are not claimable until `releaseTasks` releases them. */
async function insert(tx: Tx, records: string, limits: string): Promise<readonly string[]> {
  const made = await tx.$queryRaw<{ id: string }[]>`
    INSERT INTO berth_installations (id, tenant_id, plugin_id, identifier, desired, state, generation, limits_asked,
      limits_granted, source, meta, warnings, created_at, updated_at)
    SELECT r.id, r.tenant_id, r.plugin_id, r.identifier, 'enabled', 'installing', 1, '{"memoryIsHard": false}',
      ${limits}::jsonb, r.source, r.meta, '[]', coalesce(r.created_at, clock_timestamp()), clock_timestamp()
    FROM ${ROWS(records)}
    ON CONFLICT DO NOTHING RETURNING id`;
  if (made.length === 0) return [];
  const ids = Prisma.join(made.map(({ id }) => Prisma.sql`${id}::uuid`));
  await tx.$executeRaw`
    INSERT INTO berth_tasks (id, kind, tenant_id, installation_id, identifier, state, input, last_seq, claimable_at)
    SELECT r.task_id, 'install', r.tenant_id, r.id, r.identifier, 'queued', '{}', 1,
      clock_timestamp() + interval '100 years'
    FROM ${ROWS(records)} WHERE r.id IN (${ids})`;
  await tx.$executeRaw`
    INSERT INTO berth_task_events (task_id, seq, data)
    SELECT r.task_id, 1, '{"type": "step", "step": "queued"}' FROM ${ROWS(records)} WHERE r.id IN (${ids})`;
  const { keyId, keyName, requestId } = BERTH_ITSELF;
  await tx.$executeRaw`
    INSERT INTO berth_events (id, kind, key_id, key_name, request_id, tenant_id, installation_id, task_id, subject, result)
    SELECT r.event_id, 'installation.adopt', ${keyId}, ${keyName}, ${requestId}, r.tenant_id, r.id, r.task_id,
      r.identifier, 'accepted'
    FROM ${ROWS(records)} WHERE r.id IN (${ids})`;
  await tx.$executeRaw`
    INSERT INTO berth_takeovers (installation_id, task_id, identifier)
    SELECT r.id, r.task_id, r.identifier FROM ${ROWS(records)} WHERE r.id IN (${ids})`;
  return made.map(({ id }) => id);
}

async function correctCounts(tx: Tx, adopted: readonly string[]): Promise<Omit<Adopted, "installations">> {
  if (adopted.length === 0) return { countsMended: 0, endpointCountsMended: 0 };
  const ids = Prisma.join(adopted.map((id) => Prisma.sql`${id}::uuid`));
  const theirs = Prisma.sql`(SELECT o.plugin_unique_identifier FROM plugin_installations o WHERE o.id IN (${ids}))`;
  // Installs and uninstalls lock this row first, so a count under its lock is exact.
  await tx.$queryRaw`
    SELECT 1 AS one FROM plugins WHERE plugin_unique_identifier IN ${theirs}
    ORDER BY plugin_unique_identifier FOR UPDATE`;
  const counts = Prisma.sql`(
    SELECT plugin_unique_identifier AS identifier, min(plugin_id) AS plugin_id, min(source) AS source, count(*) AS refers
    FROM plugin_installations WHERE plugin_unique_identifier IN ${theirs} GROUP BY plugin_unique_identifier) AS c`;
  const wrong = await tx.$executeRaw`
    UPDATE plugins p SET refers = c.refers, updated_at = clock_timestamp() FROM ${counts}
    WHERE p.plugin_unique_identifier = c.identifier AND p.refers IS DISTINCT FROM c.refers`;
  const missing = await tx.$queryRaw<{ identifier: string; plugin_id: string; source: string | null }[]>`
    SELECT c.identifier, c.plugin_id, c.source FROM ${counts}
    WHERE NOT EXISTS (SELECT 1 FROM plugins p WHERE p.plugin_unique_identifier = c.identifier) ORDER BY c.identifier`;
  for (const { identifier, plugin_id: pluginId, source } of missing)
    await tx.$executeRaw`
      INSERT INTO plugins (id, created_at, updated_at, plugin_unique_identifier, plugin_id, refers, install_type,
        manifest_type, source)
      SELECT ${uuid7()}::uuid, at, at, c.identifier, ${pluginId}, c.refers, 'local', '', ${source ?? ""}
      FROM clock_timestamp() AS at, ${counts} WHERE c.identifier = ${identifier}
      ON CONFLICT (plugin_unique_identifier) DO NOTHING`;
  const endpoints = await tx.$executeRaw`
    UPDATE plugin_installations i SET endpoints_setups = c.setups, endpoints_active = c.active,
      updated_at = clock_timestamp()
    FROM (
      SELECT o.id, count(e.id) AS setups, count(e.id) FILTER (WHERE e.enabled) AS active
      FROM plugin_installations o
      LEFT JOIN endpoints e ON e.tenant_id = o.tenant_id::text AND e.plugin_id = o.plugin_id
      WHERE o.id IN (${ids}) GROUP BY o.id
    ) AS c
    WHERE i.id = c.id AND (i.endpoints_setups IS DISTINCT FROM c.setups OR i.endpoints_active IS DISTINCT FROM c.active)`;
  return { countsMended: wrong + missing.length, endpointCountsMended: endpoints };
}
