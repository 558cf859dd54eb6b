/** Audit events, and the two rows that an acceptance locks: those of the requesting key and of its tenant. */
import { type Actor, type AuditEvent, type AuditKind, BERTH_ITSELF } from "../../../domain/audit.ts";
import { Fault } from "../../../domain/fault.ts";
import type { InstallationId, TaskId, TenantId } from "../../../domain/ids.ts";
import { REMOTE } from "../../../domain/installation.ts";
import type { EventRows } from "../../contracts/events.ts";
import { type Database, type Tx, uuid7 } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface NewEvent {
  readonly kind: AuditKind;
  readonly by: Actor | undefined;
  readonly tenantId?: string | null | undefined;
  readonly installationId?: string;
  readonly taskId?: string;
  readonly subject: string;
  readonly result: "accepted" | "done";
}

export async function writeEvent(tx: Tx, { by = BERTH_ITSELF, ...event }: NewEvent): Promise<void> {
  const { kind, tenantId, installationId, taskId, subject, result } = event;
  await tx.auditEvent.create({
    data: {
      id: uuid7(),
      kind,
      subject,
      result,
      ...by,
      tenantId: tenantId ?? null,
      installationId: installationId ?? null,
      taskId: taskId ?? null,
    },
  });
}

/**
 * Creates the tenant where it is missing, and locks it until this transaction ends. Throws `conflict` where it is being
 * removed. Lock the tenant before the key: the removal does so too.
 */
export async function holdTenant(tx: Tx, tenantId: string): Promise<void> {
  for (;;) {
    await tx.$executeRaw`INSERT INTO berth_tenants (id) VALUES (${tenantId}::uuid) ON CONFLICT (id) DO NOTHING`;
    const [held] = await tx.$queryRaw<{ removing_task_id: string | null }[]>`
      SELECT removing_task_id FROM berth_tenants WHERE id = ${tenantId}::uuid FOR SHARE`;
    // It may be gone since the first statement: its removal has just ended, and it comes back as new.
    if (held === undefined) continue;
    if (held.removing_task_id === null) return;
    throw new Fault("conflict", "The tenant is being removed; retry when that has ended.", {
      details: { field: "tenant", value: tenantId, taskId: held.removing_task_id },
    });
  }
}

/** Throws `unauthorized` for a key that was revoked since the request began; locks it until the transaction ends. */
export async function holdKey(tx: Tx, by: Actor | undefined): Promise<void> {
  if (by === undefined || !UUID.test(by.keyId)) return;
  const held = await tx.$queryRaw<unknown[]>`
    SELECT 1 AS one FROM berth_keys WHERE id = ${by.keyId}::uuid AND revoked_at IS NULL FOR SHARE`;
  if (held.length === 0) throw new Fault("unauthorized", "The key has just been revoked.");
}

export function createEventRows(db: Database): EventRows {
  return {
    list: ({ tenantId, installationId, kind, since }, page) =>
      db.run(async (prisma) => {
        const conditions = [
          tenantId === undefined ? Prisma.empty : Prisma.sql`AND tenant_id = ${tenantId}::uuid`,
          installationId === undefined
            ? Prisma.empty
            : Prisma.sql`AND installation_id = ${installationId}::uuid`,
          kind === undefined ? Prisma.empty : Prisma.sql`AND kind = ${kind}`,
          since === undefined ? Prisma.empty : Prisma.sql`AND created_at >= ${since}`,
        ];
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT id, ${PLACE_AT} FROM berth_events
          WHERE true ${Prisma.join(conditions, " ")} ${pageSql(page, Prisma.sql`id`, Prisma.sql`uuid`)}`;
        const rows = await prisma.auditEvent.findMany({ where: { id: { in: placed.map(({ id }) => id) } } });
        return toPage(placed, page, new Map(rows.map((row) => [row.id, row])), toAuditEvent);
      }),
    recordForeignCall: (poolKey) => db.run(async (prisma) => (await recordForeignCall(prisma, poolKey)) > 0),
    purge: (olderThanDays, limit) =>
      db.run(
        (prisma) => prisma.$executeRaw`
          DELETE FROM berth_events WHERE id IN (
            SELECT id FROM berth_events WHERE created_at < clock_timestamp() - ${olderThanDays} * interval '1 day'
            ORDER BY created_at LIMIT ${limit})`,
      ),
  };
}

/** Of a pool that tenants share, no tenant is known; a plugin that its author runs has no pool. */
function recordForeignCall(prisma: Tx, poolKey: string): Promise<number> {
  const kind: AuditKind = "runtime.foreign_call";
  const { keyId, keyName, requestId } = BERTH_ITSELF;
  return prisma.$executeRaw`
    INSERT INTO berth_events (id, kind, key_id, key_name, request_id, tenant_id, installation_id, subject, result)
    SELECT ${uuid7()}::uuid, ${kind}, ${keyId}, ${keyName}, ${requestId}, p.tenant_id,
      (SELECT i.id FROM berth_installations i WHERE i.pool_key = p.key AND i.tenant_id = p.tenant_id LIMIT 1),
      p.identifier, 'refused'
    FROM (
      SELECT key, tenant_id, identifier FROM berth_pools
      UNION ALL SELECT pool_key, tenant_id, identifier FROM berth_installations WHERE source = ${REMOTE}
    ) p
    WHERE p.key = ${poolKey} AND NOT EXISTS (
      SELECT 1 FROM berth_events e
      WHERE e.kind = ${kind} AND e.subject = p.identifier AND e.tenant_id IS NOT DISTINCT FROM p.tenant_id
        AND e.created_at > clock_timestamp() - interval '1 minute')`;
}

function toAuditEvent(row: rows.AuditEvent): AuditEvent {
  return {
    id: row.id,
    at: row.createdAt,
    kind: row.kind,
    actor: { keyId: row.keyId, keyName: row.keyName, requestId: row.requestId },
    tenantId: (row.tenantId ?? undefined) as TenantId | undefined,
    installationId: (row.installationId ?? undefined) as InstallationId | undefined,
    taskId: (row.taskId ?? undefined) as TaskId | undefined,
    subject: row.subject,
    result: row.result,
  };
}
