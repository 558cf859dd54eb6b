/** Dependencies and holds; each write locks the row of the needed installation. */
import { Fault } from "../../../domain/fault.ts";
import { InstallationId, TaskId, TenantId } from "../../../domain/ids.ts";
import { formatNeed } from "../../../domain/plugin-need.ts";
import type { DependencyLink, DependencyRows, DroppedHold } from "../../contracts/dependencies.ts";
import type { Database, Tx } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { toTask } from "../tasks/task-row.ts";
import { acceptUninstall } from "./accept-uninstall.ts";
import { dependentsOf, toNeed } from "./dependents.ts";
import { toInstallation } from "./installation-row.ts";

export function createDependencyRows(db: Database): DependencyRows {
  return {
    add: (link) => db.transaction((tx) => add(tx, link)),
    needsOf: (id) =>
      db.run(async (prisma) => (await prisma.dependency.findMany({ where: { needingId: id } })).map(toLink)),
    dependentsOf: (id) => db.run((prisma) => dependentsOf(prisma, id)),
    drop: (needingId, identifier) =>
      db.run(async (prisma) => {
        await prisma.dependency.deleteMany({ where: { needingId, identifier } });
      }),
    heldBy: (taskId) =>
      db.run(async (prisma) =>
        (await prisma.taskHold.findMany({ where: { taskId } })).map(({ installationId }) =>
          InstallationId.parse(installationId),
        ),
      ),
    holdersOf: (installationId) =>
      db.run(async (prisma) =>
        (await prisma.taskHold.findMany({ where: { installationId } })).map(({ taskId }) =>
          TaskId.parse(taskId),
        ),
      ),
    dropHold: (taskId, id) => db.transaction((tx) => dropHold(tx, taskId, id)),
    release: (taskId) =>
      db.run(async (prisma) => {
        await prisma.taskHold.deleteMany({ where: { taskId } });
      }),
  };
}

async function add(
  tx: Tx,
  { tenantId, needingId, identifier, neededId, need }: DependencyLink,
): Promise<void> {
  const needed = await lock(tx, neededId);
  if (needed === null || needed.desired === "removed")
    throw new Fault("conflict", `${formatNeed(need)} has just been uninstalled; retry.`);
  await tx.dependency.createMany({
    data: { tenantId, needingId, identifier, neededId, type: need.type, value: formatNeed(need) },
    skipDuplicates: true,
  });
}

async function dropHold(tx: Tx, taskId: TaskId, id: InstallationId): Promise<DroppedHold> {
  const found = await lock(tx, id);
  const hold = { taskId, installationId: id };
  if (found === null) {
    await tx.taskHold.deleteMany({ where: hold });
    return { outcome: "gone" };
  }
  const held = await tx.taskHold.findMany({ where: { OR: [{ taskId }, { installationId: id }] } });
  const isMine = held.some((other) => other.taskId === taskId && other.installationId === id);
  const isOthers = held.some((other) => other.taskId !== taskId);
  const mine = new Set(held.filter((other) => other.taskId === taskId).map((other) => other.installationId));
  const isNeeded = (await dependentsOf(tx, id)).some(({ installationId }) => !mine.has(installationId));
  if (found.desired !== "removed" && (!isMine || isOthers || isNeeded)) {
    await tx.taskHold.deleteMany({ where: hold });
    return { outcome: "kept" };
  }
  const removing =
    found.desired === "removed"
      ? await tx.task.findFirst({ where: { installationId: id, kind: "uninstall", finishedAt: null } })
      : null;
  const removal =
    removing === null
      ? await acceptUninstall(tx, id, { force: true, parentId: taskId })
      : { installation: toInstallation(found), task: toTask(removing), created: false };
  return { outcome: "removing", removal };
}

async function lock(tx: Tx, id: InstallationId): Promise<rows.Installation | null> {
  await tx.$queryRaw`SELECT id FROM berth_installations WHERE id = ${id}::uuid FOR UPDATE`;
  return await tx.installation.findUnique({ where: { id } });
}

function toLink(row: rows.Dependency): DependencyLink {
  return {
    tenantId: TenantId.parse(row.tenantId),
    needingId: InstallationId.parse(row.needingId),
    identifier: row.identifier,
    neededId: InstallationId.parse(row.neededId),
    need: toNeed(row),
  };
}
