/** The contract is `store/contracts/platform-tasks.ts`. */
import { TaskId } from "../../../domain/ids.ts";
import { abandoned, type InstallTask, itemJson, withWork } from "../../../domain/install-task.ts";
import { storableJson } from "../../../util/storable.ts";
import type {
  AcceptBatch,
  BatchFence,
  BatchProgress,
  PlatformTaskRows,
} from "../../contracts/platform-tasks.ts";
import type { TaskAccepted } from "../../contracts/tasks.ts";
import { type Database, json, type Tx, toCause } from "../client/database.ts";
import { writeCause } from "../client/storable-cause.ts";
import type * as rows from "../generated/client.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { toTenantTask } from "../tasks/task-row.ts";
import { createTask, holdTask } from "../tasks/task-writes.ts";
import { holdTenant, writeEvent } from "../tenants/audit.ts";
import { holdInstallTask, toInstallTask, worksOf, writeInstallTask } from "./batch-end.ts";

export function createPlatformTaskRows(db: Database): PlatformTaskRows {
  return {
    accept: (request) => db.transaction((tx) => accept(tx, request)),
    progress: (batchId) =>
      db.run(async (prisma) => {
        const found = await prisma.batchItem.findMany({ where: { batchId }, orderBy: { place: "asc" } });
        return found.map(toProgress);
      }),
    noteTask: (batch, taskId) => db.transaction((tx) => note(tx, batch, { taskId })),
    noteEnd: (batch, why) =>
      writeCause(why, (cause) =>
        db.transaction((tx) =>
          note(tx, batch, { state: cause === undefined ? "ready" : "failed", cause: json(cause) }),
        ),
      ),
    list: (tenantId, { page, pageSize }) =>
      db.run(async (prisma) => {
        const found = await prisma.installTask.findMany({
          where: { tenantId },
          orderBy: [{ createdAt: { sort: "desc", nulls: "last" } }, { id: "desc" }],
          skip: Math.min((page - 1) * pageSize, Number.MAX_SAFE_INTEGER),
          take: pageSize,
        });
        return await shown(prisma, found);
      }),
    find: (tenantId, id) =>
      db.run(async (prisma) => {
        const found = await prisma.installTask.findFirst({ where: { id, tenantId } });
        return found === null ? undefined : (await shown(prisma, [found])).at(0);
      }),
    ...createRemovals(db),
  };
}

function createRemovals(
  db: Database,
): Pick<PlatformTaskRows, "remove" | "removeAll" | "removeItem" | "endAbandoned" | "purge"> {
  return {
    remove: (tenantId, id) =>
      db.run(async (prisma) => void (await prisma.installTask.deleteMany({ where: { id, tenantId } }))),
    removeAll: (tenantId) =>
      db.run(async (prisma) => void (await prisma.installTask.deleteMany({ where: { tenantId } }))),
    removeItem: (tenantId, id, identifier) =>
      db.transaction(async (tx) => {
        const row = await holdInstallTask(tx, id);
        if (row === undefined || row.tenantId !== tenantId) return;
        const [task] = await shown(tx, [row]);
        const left = (task?.items ?? []).filter((item) => item.identifier !== identifier);
        if (left.every(({ status }) => status === "success")) await tx.installTask.delete({ where: { id } });
        else
          await tx.installTask.update({
            where: { id },
            data: { plugins: storableJson(left.map(itemJson)) },
          });
      }),
    endAbandoned: async () =>
      (await db.watch.hasWork("shownTasks")) ? await db.transaction(endAbandoned) : 0,
    purge: async (succeededMs) => {
      if (!(await db.watch.hasWork("shownTasks"))) return 0;
      return await db.run(
        (prisma) => prisma.$executeRaw`
          DELETE FROM install_tasks WHERE status = 'success' AND coalesce(updated_at, created_at, '-infinity')
            <= clock_timestamp() - ${succeededMs} * interval '1 millisecond'`,
      );
    },
  };
}

async function accept(tx: Tx, { tenantId, items, shown: given, by }: AcceptBatch): Promise<TaskAccepted> {
  await holdTenant(tx, tenantId);
  const row = await createTask(tx, {
    kind: "batch",
    tenantId,
    installationId: null,
    identifier: null,
    input: { items },
  });
  await tx.batchItem.createMany({
    data: items.map(({ identifier, original }, place) => ({
      batchId: row.id,
      identifier,
      place,
      isUpgrade: original !== undefined,
    })),
  });
  const plugins = storableJson(given.map(itemJson));
  await tx.$executeRaw`
    INSERT INTO install_tasks (id, created_at, updated_at, status, tenant_id, total_plugins, completed_plugins, plugins)
    SELECT ${row.id}::uuid, at, at, 'running', ${tenantId}::uuid, ${items.length}::bigint, 0, ${plugins}
    FROM clock_timestamp() AS at`;
  const subject = items.map(({ identifier }) => identifier).join(" ");
  await writeEvent(tx, {
    kind: "installation.batch",
    by,
    tenantId,
    taskId: row.id,
    subject: subject.slice(0, SUBJECT_LENGTH_MAX),
    result: "accepted",
  });
  return { task: toTenantTask(row), created: true };
}
const SUBJECT_LENGTH_MAX = 255;

async function note(
  tx: Tx,
  { id, attempt, identifier }: BatchFence,
  data: rows.Prisma.BatchItemUpdateManyMutationInput,
): Promise<void> {
  await holdTask(tx, { id, attempt });
  await tx.batchItem.updateMany({ where: { batchId: id, identifier }, data });
}

/** A row `t` of the platform's list that is unfinished, without a task of Berth that will finish it. */
export const ABANDONED = Prisma.sql`t.status IN ('pending', 'running')
  AND NOT EXISTS (SELECT 1 FROM berth_tasks b WHERE b.id = t.id AND b.finished_at IS NULL)`;

async function endAbandoned(tx: Tx): Promise<number> {
  const found = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM install_tasks t WHERE ${ABANDONED}
    ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED`;
  for (const { id } of found)
    await writeInstallTask(
      tx,
      abandoned(toInstallTask(await tx.installTask.findUniqueOrThrow({ where: { id } }))),
    );
  return found.length;
}

/** The tasks as the platform sees them: those of a running batch with its progress, others as stored. */
export async function shown(
  prisma: Pick<PrismaClient | Tx, "$queryRaw" | "installTask">,
  found: readonly rows.InstallTask[],
): Promise<InstallTask[]> {
  const isOpen = ({ status }: rows.InstallTask) => status === "running" || status === "pending";
  const open = found.filter(isOpen).map(({ id }) => id);
  const works = await worksOf(prisma, open);
  // A batch that has ended since its row was read has no works any more: its row has the end by now.
  const ended = open.filter((id) => !works.has(id));
  const again = ended.length === 0 ? [] : await prisma.installTask.findMany({ where: { id: { in: ended } } });
  const newest = new Map([...found, ...again].map((row) => [row.id, row]));
  return found.map((row) => {
    const task = toInstallTask(newest.get(row.id) ?? row);
    const of = works.get(row.id);
    return of === undefined ? task : withWork(task, of);
  });
}

function toProgress(row: rows.BatchItem): BatchProgress {
  return {
    identifier: row.identifier,
    state: row.state as BatchProgress["state"],
    taskId: row.taskId === null ? undefined : TaskId.parse(row.taskId),
    cause: toCause(row.cause),
  };
}
