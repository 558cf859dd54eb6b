/** The platform's row of a batch: read, computed from the work below it, and written once that has ended. */
import type { FaultJson } from "../../../domain/fault.ts";
import { TaskId } from "../../../domain/ids.ts";
import {
  type InstallTask,
  type ItemWork,
  itemJson,
  parseItems,
  parseStatus,
  withWork,
} from "../../../domain/install-task.ts";
import { isTaskEnded, type TaskState } from "../../../domain/task.ts";
import { storableJson } from "../../../util/storable.ts";
import { type Tx, toCause } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { toTimes } from "./platform-row.ts";

/**
 * Writes how a batch has ended into the platform's row, in the transaction of the end, so that a daemon which returns to
 * this database reads it too.
 */
export async function settleBatch(tx: Tx, id: string, cause: FaultJson | undefined): Promise<void> {
  const row = await holdInstallTask(tx, id);
  if (row !== undefined) {
    const works = (await worksOf(tx, [id])).get(id) ?? new Map<string, ItemWork>();
    for (const [identifier, work] of works)
      if (!isEnded(work)) works.set(identifier, { ...work, state: "failed", cause });
    await writeInstallTask(tx, withWork(toInstallTask(row), works));
  }
  await tx.batchItem.deleteMany({ where: { batchId: id } });
}

function isEnded({ state, task }: ItemWork): boolean {
  return state !== "pending" || (task !== undefined && isTaskEnded(task.state));
}

export async function writeInstallTask(tx: Tx, { id, status, completed, items }: InstallTask): Promise<void> {
  await tx.$executeRaw`
    UPDATE install_tasks SET status = ${status}, completed_plugins = ${completed}::bigint,
      plugins = ${storableJson(items.map(itemJson))}, updated_at = clock_timestamp()
    WHERE id = ${id}::uuid`;
}

/** Locks the row: changes of its items wait for each other. */
export async function holdInstallTask(tx: Tx, id: string): Promise<rows.InstallTask | undefined> {
  await tx.$queryRaw`SELECT id FROM install_tasks WHERE id = ${id}::uuid FOR UPDATE`;
  return (await tx.installTask.findUnique({ where: { id } })) ?? undefined;
}

interface WorkRow {
  readonly batch_id: string;
  readonly identifier: string;
  readonly is_upgrade: boolean;
  readonly state: ItemWork["state"];
  readonly cause: Prisma.JsonValue;
  readonly task_state: TaskState | null;
  readonly task_cause: Prisma.JsonValue;
  readonly progress: string | null;
}

/** The work of each item, by batch and identifier, in one statement for any number of batches. */
export async function worksOf(
  prisma: Pick<PrismaClient | Tx, "$queryRaw">,
  ids: readonly string[],
): Promise<Map<string, Map<string, ItemWork>>> {
  const works = new Map<string, Map<string, ItemWork>>();
  if (ids.length === 0) return works;
  const found = await prisma.$queryRaw<WorkRow[]>`
    SELECT i.batch_id, i.identifier, i.is_upgrade, i.state, i.cause, t.state AS task_state, t.cause AS task_cause,
      (SELECT e.data ->> 'message' FROM berth_task_events e
        WHERE e.task_id = t.id AND e.data ->> 'type' = 'progress' AND e.data ->> 'step' = t.state
        ORDER BY e.seq DESC LIMIT 1) AS progress
    FROM berth_batch_items i LEFT JOIN berth_tasks t ON t.id = i.task_id
    WHERE i.batch_id IN (${Prisma.join(ids.map((id) => Prisma.sql`${id}::uuid`))})
    ORDER BY i.batch_id, i.place`;
  for (const row of found) {
    const of = works.get(row.batch_id) ?? new Map<string, ItemWork>();
    works.set(row.batch_id, of.set(row.identifier, toWork(row)));
  }
  return works;
}

function toWork(row: WorkRow): ItemWork {
  const task =
    row.task_state === null
      ? undefined
      : { state: row.task_state, cause: toCause(row.task_cause), progress: row.progress ?? undefined };
  return { isUpgrade: row.is_upgrade, state: row.state, cause: toCause(row.cause), task };
}

export function toInstallTask(row: rows.InstallTask): InstallTask {
  return {
    id: TaskId.parse(row.id),
    tenantId: row.tenantId as InstallTask["tenantId"],
    status: parseStatus(row.status),
    total: Number(row.totalPlugins),
    completed: Number(row.completedPlugins),
    items: parseItems(row.plugins),
    ...toTimes(row),
  };
}
