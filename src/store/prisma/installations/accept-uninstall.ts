import { Fault, type FaultJson, installationNotFound } from "../../../domain/fault.ts";
import { type Dependent, dependentJson } from "../../../domain/plugin-need.ts";
import type { TaskEnding } from "../../../domain/task.ts";
import type { Accepted } from "../../contracts/answers.ts";
import type { UninstallRequest } from "../../contracts/installations.ts";
import { jsonValue, type Tx } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { toEnding, toTask } from "../tasks/task-row.ts";
import { endTask, noteEnding } from "../tasks/task-writes.ts";
import { holdKey } from "../tenants/audit.ts";
import { touch, withNewTask } from "./accept-install.ts";
import { dependentsOf } from "./dependents.ts";
import { toInstallation } from "./installation-row.ts";
import { unpublishRows } from "./publication.ts";

/**
 * The transaction behind `acceptUninstall`. An unfinished task ends as cancelled, and its worker loses the lease; one with
 * tasks or installations below it ends once those are undone.
 */
export async function acceptUninstall(
  tx: Tx,
  id: string,
  { by, parentId, force = false, input }: UninstallRequest,
): Promise<Accepted> {
  await holdKey(tx, by);
  await tx.$queryRaw`SELECT id FROM berth_installations WHERE id = ${id}::uuid FOR UPDATE`;
  const found = await tx.installation.findUnique({ where: { id } });
  if (found === null) throw installationNotFound(id);
  const unfinished = await tx.task.findMany({ where: { installationId: id, finishedAt: null } });
  const removing = unfinished.find(({ kind }) => kind === "uninstall");
  if (removing !== undefined) {
    const task = await withPurge(tx, removing, input);
    return { installation: toInstallation(found), task: toTask(task), created: false };
  }
  if (!force) assertUnneeded(found, await dependentsOf(tx, id));
  const published = await tx.pluginInstallation.findUnique({ where: { id } });
  if (published !== null) await unpublishRows(tx, published);
  for (const task of unfinished) await endForUninstall(tx, task);
  const data = { desired: "removed", state: "removing", cause: Prisma.DbNull };
  const marked = await tx.installation.update({ where: { id }, data });
  await touch(tx, id);
  return withNewTask(tx, marked, "uninstall", { by, parentId, input });
}

/** A repeated request may add `purge`. */
async function withPurge(tx: Tx, removing: rows.Task, input: UninstallRequest["input"]): Promise<rows.Task> {
  if (input?.["purge"] !== true) return removing;
  const changed = jsonValue({ ...toTask(removing).input, purge: true });
  return await tx.task.update({ where: { id: removing.id }, data: { input: changed } });
}

function assertUnneeded({ pluginId }: rows.Installation, dependents: readonly Dependent[]): void {
  if (dependents.length === 0) return;
  const names = dependents.map((dependent) => dependent.pluginId).join(", ");
  throw new Fault(
    "dependency_in_use",
    `${pluginId} is needed by ${names}: uninstall those first, or force it and leave them without it.`,
    { details: { needed_by: dependents.map(dependentJson), accepted: "force=true" } },
  );
}

async function endForUninstall(tx: Tx, { id, ending }: rows.Task): Promise<void> {
  const cause: FaultJson = { code: "cancelled", message: "An uninstall was requested." };
  const end: TaskEnding = toEnding(ending) ?? { state: "cancelled", cause };
  const below = await tx.task.count({ where: { parentId: id, finishedAt: null } });
  const held = await tx.taskHold.count({ where: { taskId: id } });
  if (below + held === 0) await endTask(tx, id, { type: "end", ...end });
  else await noteEnding(tx, id, end);
}
