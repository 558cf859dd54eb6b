import type { TenantId } from "../../../domain/ids.ts";
import { SPARE_MEMORY_BYTES } from "../../../domain/limits.ts";
import { refuseDisk, refuseInstallation, type TenantQuotas } from "../../../domain/tenant-quotas.ts";
import type { TenantRows } from "../../contracts/tenants.ts";
import type { Database, Tx } from "../client/database.ts";
import { Prisma } from "../generated/client.ts";
import { holdKey, holdTenant, writeEvent } from "./audit.ts";

export function createTenantQuotas(
  db: Database,
): Pick<TenantRows, "quotas" | "setQuotas" | "listQuotas" | "defaultQuotas"> {
  return {
    defaultQuotas: db.tenantDefaults,
    quotas: (id) =>
      db.run(async (prisma) => {
        const [row] = await prisma.$queryRaw<(QuotaRow & UsageRow)[]>`
          SELECT ${quotaColumns},
            (SELECT count(*) FROM berth_installations i WHERE i.tenant_id = ${id}::uuid) AS installations,
            (SELECT coalesce(sum(${reservedBytes}), 0)::bigint
              FROM berth_runtimes r JOIN berth_pools p ON p.key = r.pool_key
              WHERE p.tenant_id = ${id}::uuid AND r.state <> 'ended') AS memory_bytes,
            ${diskBytesOf(id)} AS disk_bytes
          FROM (SELECT 1) one LEFT JOIN berth_tenants t ON t.id = ${id}::uuid`;
        return {
          quotas: quotasOf(row),
          usage: {
            installations: Number(row?.installations ?? 0),
            memoryBytes: Number(row?.memory_bytes ?? 0),
            diskBytes: Number(row?.disk_bytes ?? 0),
          },
        };
      }),
    listQuotas: db.watch.remember("quotas", () =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<(QuotaRow & { id: string })[]>`
          SELECT t.id, ${quotaColumns} FROM berth_tenants t
          WHERE t.disk_bytes_max IS NOT NULL OR t.calls_max IS NOT NULL`;
        return new Map(rows.map((row) => [row.id as TenantId, quotasOf(row)]));
      }),
    ),
    setQuotas: (tenantId, changes, by) =>
      db.transaction(async (tx) => {
        await serializeTenant(tx, tenantId);
        await holdTenant(tx, tenantId);
        await holdKey(tx, by);
        const data = {
          ...("installationsMax" in changes && { installationsMax: changes.installationsMax ?? null }),
          ...("memoryBytesMax" in changes && { memoryBytesMax: bigOf(changes.memoryBytesMax) }),
          ...("diskBytesMax" in changes && { diskBytesMax: bigOf(changes.diskBytesMax) }),
          ...("callsMax" in changes && { callsMax: changes.callsMax ?? null }),
        };
        const now = await tx.tenant.update({ where: { id: tenantId }, data });
        const subject =
          `installations=${now.installationsMax ?? "default"} memory_bytes=${now.memoryBytesMax ?? "default"} ` +
          `disk_bytes=${now.diskBytesMax ?? "default"} calls=${now.callsMax ?? "default"}`;
        await writeEvent(tx, { kind: "tenant.quotas", by, tenantId, subject, result: "done" });
      }),
  };
}

interface QuotaRow {
  readonly installations_max: number | null;
  readonly memory_bytes_max: bigint | null;
  readonly disk_bytes_max: bigint | null;
  readonly calls_max: number | null;
}

interface UsageRow {
  readonly installations: bigint;
  readonly memory_bytes: bigint;
  readonly disk_bytes: bigint;
}

const quotaColumns = Prisma.sql`t.installations_max, t.memory_bytes_max, t.disk_bytes_max, t.calls_max`;

function quotasOf(row: QuotaRow | undefined): TenantQuotas {
  return {
    installationsMax: row?.installations_max ?? undefined,
    memoryBytesMax: numberOf(row?.memory_bytes_max),
    diskBytesMax: numberOf(row?.disk_bytes_max),
    callsMax: row?.calls_max ?? undefined,
  };
}

/** Bytes of its plugins' storage, as of each one's last write, and of the archives that it uploaded. */
function diskBytesOf(tenantId: string): Prisma.Sql {
  return Prisma.sql`(
    (SELECT coalesce(sum(s.size), 0) FROM tenant_storages s WHERE s.tenant_id = ${tenantId}) +
    (SELECT coalesce(sum(k.bytes), 0) FROM berth_package_uploaders u
      JOIN berth_packages k ON k.identifier = u.identifier WHERE u.tenant_id = ${tenantId}::uuid))::bigint`;
}

/** Reserved bytes of a runtime `r` in a pool `p`; rows of earlier releases have only the pool's limits. */
export const reservedBytes = Prisma.sql`coalesce(r.memory_bytes, (p.limits ->> 'memoryBytes')::bigint
  + (p.limits ->> 'storageBytes')::bigint + ${SPARE_MEMORY_BYTES}::bigint, 0)`;

/** Serialises transactions of one tenant until they end. To be called before any other lock of the tenant. */
export async function serializeTenant(tx: Tx, tenantId: string): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO berth_tenants AS known (id) VALUES (${tenantId}::uuid)
    ON CONFLICT (id) DO UPDATE SET removing_task_id = known.removing_task_id`;
}

/** Throws `quota_exceeded` where the installation that this transaction has written exceeds the quota. Call `serializeTenant` first. */
export async function checkInstallations(
  tx: Tx,
  tenantId: TenantId,
  { installationsMax: byDefault }: TenantQuotas,
): Promise<void> {
  const { installationsMax } = await tx.tenant.findUniqueOrThrow({ where: { id: tenantId } });
  const max = installationsMax ?? byDefault;
  if (max === undefined) return;
  const used = (await tx.installation.count({ where: { tenantId } })) - 1;
  const fault = refuseInstallation(max, used);
  if (fault !== undefined) throw fault;
}

/** The memory quota of the pool's tenant; undefined for a shared pool. */
export async function memoryQuotaOf(
  tx: Tx,
  poolKey: string,
  { memoryBytesMax }: TenantQuotas,
): Promise<number | undefined> {
  const [row] = await tx.$queryRaw<{ max: bigint | null }[]>`
    SELECT t.memory_bytes_max AS max FROM berth_pools p LEFT JOIN berth_tenants t ON t.id = p.tenant_id
    WHERE p.key = ${poolKey} AND p.tenant_id IS NOT NULL`;
  return row === undefined ? undefined : (numberOf(row.max) ?? memoryBytesMax);
}

/** Throws `quota_disk` where that many more bytes exceed the quota. Call `serializeTenant` first. */
export async function checkDisk(
  tx: Tx,
  { tenantId, moreBytes }: { readonly tenantId: string; readonly moreBytes: number },
  { diskBytesMax: byDefault }: TenantQuotas,
): Promise<void> {
  const { diskBytesMax } = await tx.tenant.findUniqueOrThrow({ where: { id: tenantId } });
  const max = numberOf(diskBytesMax) ?? byDefault;
  if (max === undefined || moreBytes <= 0) return;
  const [row] = await tx.$queryRaw<{ bytes: bigint }[]>`SELECT ${diskBytesOf(tenantId)} AS bytes`;
  const fault = refuseDisk(max, Number(row?.bytes ?? 0n), moreBytes);
  if (fault !== undefined) throw fault;
}

function bigOf(value: number | undefined): bigint | null {
  return value === undefined ? null : BigInt(value);
}

function numberOf(value: bigint | null | undefined): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}
