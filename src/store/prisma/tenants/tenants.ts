/** Tenants with their counts, and the two transactions that accept and end a removal. */

import type { Actor } from "../../../domain/audit.ts";
import { Fault, type FaultJson, tenantNotFound } from "../../../domain/fault.ts";
import type { TaskId, TenantId } from "../../../domain/ids.ts";
import { isTenantTask, type Task, type TenantTask } from "../../../domain/task.ts";
import type { RemovalAccepted, TenantRecord, TenantRows } from "../../contracts/tenants.ts";
import type { Database, Tx } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { unpublishRows } from "../installations/publication.ts";
import { toTask } from "../tasks/task-row.ts";
import { createTask, endTask, type Fence, holdTask, leaseLost, writeEvents } from "../tasks/task-writes.ts";
import { holdKey, holdTenant, writeEvent } from "./audit.ts";
import { createTenantQuotas } from "./tenant-quotas.ts";

export function createTenantRows(db: Database): TenantRows {
  return {
    list: (page) =>
      db.run(async (prisma) => {
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT id, ${PLACE_AT} FROM berth_tenants
          WHERE true ${pageSql(page, Prisma.sql`id`, Prisma.sql`uuid`)}`;
        const counted = await count(
          prisma,
          placed.map(({ id }) => id),
        );
        return toPage(placed, page, counted, toTenant);
      }),
    find: (id) =>
      db.run(async (prisma) => {
        const row = (await count(prisma, [id])).get(id);
        return row === undefined ? undefined : toTenant(row);
      }),
    acceptRemoval: (id, by) => db.transaction((tx) => acceptRemoval(tx, id, by)),
    publishRemoved: (id, attempt) => db.transaction((tx) => publishRemoved(tx, { id, attempt })),
    ...createTenantSettings(db),
    ...createTenantQuotas(db),
  };
}

/** One statement for any number of tenants; each of its counts uses an index. */
async function count(prisma: PrismaClient, ids: readonly string[]): Promise<Map<string, CountedTenant>> {
  if (ids.length === 0) return new Map();
  const rows = await prisma.$queryRaw<CountedTenant[]>`
    SELECT t.id, t.created_at, t.removing_task_id,
      (SELECT jsonb_object_agg(s.state, s.n) FROM (
        SELECT i.state, count(*) AS n FROM berth_installations i WHERE i.tenant_id = t.id GROUP BY i.state
      ) s) AS installations,
      (SELECT count(*) FROM berth_package_uploaders u WHERE u.tenant_id = t.id) AS packages,
      (SELECT coalesce(sum(p.bytes), 0)::bigint FROM berth_packages p
        JOIN berth_package_uploaders u ON u.identifier = p.identifier
        WHERE u.tenant_id = t.id) AS package_bytes,
      (SELECT count(*) FROM berth_keys k WHERE k.tenant_id = t.id AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())) AS keys,
      (SELECT count(*) FROM berth_runtimes r JOIN berth_pools p ON p.key = r.pool_key
        WHERE p.tenant_id = t.id AND r.state = 'ready') AS runtimes
    FROM berth_tenants t WHERE t.id IN (${Prisma.join(ids.map((id) => Prisma.sql`${id}::uuid`))})`;
  return new Map(rows.map((row) => [row.id, row]));
}

async function acceptRemoval(tx: Tx, tenantId: string, by: Actor | undefined): Promise<RemovalAccepted> {
  const [held] = await tx.$queryRaw<{ removing_task_id: string | null }[]>`
    SELECT removing_task_id FROM berth_tenants WHERE id = ${tenantId}::uuid FOR UPDATE`;
  await holdKey(tx, by);
  const known = await removalOf(tx, tenantId, held?.removing_task_id);
  if (known !== undefined) return { task: known, created: false };
  if (held === undefined) throw tenantNotFound(tenantId);
  const row = await createTask(tx, {
    kind: "remove_tenant",
    tenantId,
    installationId: null,
    identifier: null,
  });
  await tx.tenant.update({ where: { id: tenantId }, data: { removingTaskId: row.id } });
  await cancelTasks(tx, tenantId);
  await tx.$executeRaw`
    UPDATE berth_installations SET desired = 'removed', state = 'removing', cause = NULL,
      updated_at = clock_timestamp()
    WHERE tenant_id = ${tenantId}::uuid`;
  const keys = await tx.$executeRaw`
    UPDATE berth_keys SET revoked_at = clock_timestamp()
    WHERE tenant_id = ${tenantId}::uuid AND revoked_at IS NULL`;
  await writeEvents(tx, row.id, [{ type: "progress", step: "queued", message: `revoked ${keys} keys` }]);
  await writeEvent(tx, {
    kind: "tenant.remove",
    by,
    tenantId,
    taskId: row.id,
    subject: tenantId,
    result: "accepted",
  });
  return { task: asTenantTask(toTask(row)), created: true };
}

/** The unfinished removal of the tenant; where it is gone, its last one. */
async function removalOf(
  tx: Tx,
  tenantId: string,
  removingTaskId: string | null | undefined,
): Promise<TenantTask | undefined> {
  if (removingTaskId === null) return undefined;
  const row =
    removingTaskId === undefined
      ? await tx.task.findFirst({
          where: { tenantId, kind: "remove_tenant" },
          orderBy: [{ createdAt: "desc" }, { id: "desc" }],
        })
      : await tx.task.findFirst({ where: { id: removingTaskId, finishedAt: null } });
  return row === null ? undefined : asTenantTask(toTask(row));
}

/** Cancels unfinished tasks; their workers lose the lease, and their writes are refused. */
async function cancelTasks(tx: Tx, tenantId: string): Promise<void> {
  const kind = { notIn: ["uninstall", "remove_tenant"] };
  const running = await tx.task.findMany({ where: { tenantId, kind, finishedAt: null } });
  const cause: FaultJson = { code: "cancelled", message: "The tenant is being removed." };
  for (const { id } of running) await endTask(tx, id, { type: "end", state: "cancelled", cause });
}

async function publishRemoved(tx: Tx, fence: Fence): Promise<void> {
  const { id: taskId, kind, tenantId, createdAt } = await holdTask(tx, fence);
  if (kind !== "remove_tenant") throw leaseLost(taskId);
  await tx.$queryRaw`SELECT id FROM berth_tenants WHERE id = ${tenantId}::uuid FOR UPDATE`;
  if ((await tx.installation.count({ where: { tenantId } })) > 0)
    throw new Fault("conflict", "The tenant still has installations.");
  // By their tasks, whichever worker ran them.
  const uninstalls = await tx.task.findMany({
    where: { tenantId, kind: "uninstall", state: "ready", finishedAt: { gte: createdAt } },
    orderBy: { finishedAt: "asc" },
  });
  const removed = await removeRows(tx, tenantId, taskId);
  const said = [
    ...uninstalls.map(({ identifier }) => `uninstalled ${identifier}`),
    ...Object.entries(removed).flatMap(([what, rows]) => (rows > 0 ? [`removed ${rows} ${what}`] : [])),
  ];
  await writeEvents(
    tx,
    taskId,
    said.map((message) => ({ type: "progress", step: "queued", message })),
  );
  await tx.tenant.deleteMany({ where: { id: tenantId } });
  await endTask(tx, taskId, { type: "end", state: "ready" });
}

/** Removes the rows; answers their numbers by kind. */
async function removeRows(tx: Tx, tenantId: string, taskId: string): Promise<Record<string, number>> {
  // Installations of the daemon from before Berth used this database.
  const left = await tx.pluginInstallation.findMany({ where: { tenantId } });
  for (const row of left) await unpublishRows(tx, row);
  const storages = await tx.tenantStorage.deleteMany({ where: { tenantId } });
  const endpoints = await tx.endpoint.deleteMany({ where: { tenantId } });
  await tx.installTask.deleteMany({ where: { tenantId } });
  await tx.runtime.deleteMany({ where: { tenantId, state: "ended" } });
  await tx.signaturePolicy.deleteMany({ where: { tenantId } });
  await tx.debuggingKey.deleteMany({ where: { tenantId } });
  const uploads = await tx.packageUploader.deleteMany({ where: { tenantId } });
  await tx.bundleUploader.deleteMany({ where: { tenantId } });
  const answers = await tx.$executeRaw`
    DELETE FROM berth_idempotency WHERE answer -> 'task' ->> 'tenantId' = ${tenantId}
      OR holder IN (SELECT id::text FROM berth_keys WHERE tenant_id = ${tenantId}::uuid)`;
  await tx.$executeRaw`
    DELETE FROM berth_task_events WHERE task_id IN (
      SELECT id FROM berth_tasks WHERE tenant_id = ${tenantId}::uuid AND id <> ${taskId}::uuid)`;
  const tasks = await tx.task.deleteMany({ where: { tenantId, id: { not: taskId } } });
  return {
    "installations of an earlier daemon": left.length,
    "storage records": storages.count,
    endpoints: endpoints.count,
    "uploads (the archives stay, for operators alone)": uploads.count,
    "answers kept for Idempotency-Keys": answers,
    "earlier tasks with their logs": tasks.count,
  };
}

function asTenantTask(task: Task): TenantTask {
  if (isTenantTask(task)) return task;
  throw new Error(`the task ${task.id} removes no tenant`);
}

/** A row of the counting statement. */
interface CountedTenant {
  readonly id: string;
  readonly created_at: Date;
  readonly removing_task_id: string | null;
  readonly installations: unknown;
  readonly packages: bigint;
  readonly package_bytes: bigint;
  readonly keys: bigint;
  readonly runtimes: bigint;
}

function toTenant(row: CountedTenant): TenantRecord {
  const none = { installing: 0, ready: 0, failed: 0, crash_loop: 0, disabled: 0, removing: 0 };
  return {
    id: row.id as TenantId,
    createdAt: row.created_at,
    removingTaskId: (row.removing_task_id ?? undefined) as TaskId | undefined,
    installations: { ...none, ...(row.installations as Partial<TenantRecord["installations"]> | null) },
    packages: Number(row.packages),
    packageBytes: Number(row.package_bytes),
    keys: Number(row.keys),
    runtimes: Number(row.runtimes),
  };
}

function createTenantSettings(db: Database): Pick<TenantRows, "settings" | "setSettings"> {
  return {
    settings: (id) =>
      db.run(async (prisma) => ({
        upgrade: (await prisma.tenant.findUnique({ where: { id } }))?.autoUpgrade ?? false,
      })),
    setSettings: (tenantId, { upgrade }, by) =>
      db.transaction(async (tx) => {
        await holdTenant(tx, tenantId);
        await holdKey(tx, by);
        await tx.tenant.update({ where: { id: tenantId }, data: { autoUpgrade: upgrade } });
        const subject = `upgrade=${upgrade}`;
        await writeEvent(tx, { kind: "tenant.settings", by, tenantId, subject, result: "done" });
      }),
  };
}
