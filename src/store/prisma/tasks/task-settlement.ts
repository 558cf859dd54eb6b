/**
 * The effect of a task's end on the installations that it holds and on the dependencies of its own installation. Runs in the
 * transaction of the end.
 */
import type { TaskState } from "../../../domain/task.ts";
import type { Tx } from "../client/database.ts";

export interface EndedTask {
  readonly id: string;
  readonly kind: string;
  readonly parent_id: string | null;
  readonly installation_id: string | null;
}

export async function settle(tx: Tx, task: EndedTask, state: TaskState): Promise<void> {
  if (state === "ready") {
    if (task.kind === "uninstall") await forget(tx, task.installation_id);
    else await settleNeeds(tx, task.installation_id);
    await passHolds(tx, task);
  }
  await tx.taskHold.deleteMany({ where: { taskId: task.id } });
}

/** Passes its holds to the tasks that it was made for; where there are none, its installations stay for good. */
async function passHolds(tx: Tx, { id, parent_id: parentId, installation_id: installationId }: EndedTask) {
  const held = await tx.taskHold.findMany({ where: { taskId: id } });
  if (held.length === 0) return;
  const receivers =
    installationId === null
      ? await tx.task.findMany({
          where: { id: { in: parentId === null ? [] : [parentId] }, finishedAt: null },
        })
      : (await tx.taskHold.findMany({ where: { installationId } })).map(({ taskId }) => ({ id: taskId }));
  if (receivers.length === 0) {
    await tx.taskHold.deleteMany({
      where: { installationId: { in: held.map((hold) => hold.installationId) } },
    });
    return;
  }
  await tx.taskHold.createMany({
    data: receivers.flatMap((receiver) =>
      held.map((hold) => ({ taskId: receiver.id, installationId: hold.installationId })),
    ),
    skipDuplicates: true,
  });
}

/** From now on the installation has the dependencies of its current package only. */
async function settleNeeds(tx: Tx, installationId: string | null): Promise<void> {
  if (installationId === null) return;
  await tx.$executeRaw`
    DELETE FROM berth_dependencies d USING berth_installations i
    WHERE d.needing_id = ${installationId}::uuid AND i.id = d.needing_id AND d.identifier <> i.identifier`;
}

async function forget(tx: Tx, installationId: string | null): Promise<void> {
  if (installationId === null) return;
  await tx.dependency.deleteMany({
    where: { OR: [{ needingId: installationId }, { neededId: installationId }] },
  });
  await tx.taskHold.deleteMany({ where: { installationId } });
}
