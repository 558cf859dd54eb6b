import type { Actor } from "../../../domain/audit.ts";
import { Fault } from "../../../domain/fault.ts";
import type { TaskId } from "../../../domain/ids.ts";
import { REMOTE } from "../../../domain/installation.ts";
import { PERMISSIONS } from "../../../domain/permission.ts";
import type { Task } from "../../../domain/task.ts";
import type { TenantQuotas } from "../../../domain/tenant-quotas.ts";
import type { Accepted } from "../../contracts/answers.ts";
import type { AcceptInstall } from "../../contracts/installations.ts";
import { jsonValue, type Tx, uuid7 } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { holdPackage } from "../packages/packages.ts";
import { toTask } from "../tasks/task-row.ts";
import { createTask, holdParent } from "../tasks/task-writes.ts";
import { holdKey, holdTenant, writeEvent } from "../tenants/audit.ts";
import { checkInstallations, serializeTenant } from "../tenants/tenant-quotas.ts";
import { isConnected, otherChangeRunning, taskThatInstalled } from "./accept-change.ts";
import { claimKey, keepAnswer, toAnswer } from "./idempotency.ts";
import { toInstallation } from "./installation-row.ts";
import { permissionsSubject, toPermissions, writePermissionsEvent } from "./permissions.ts";

/** The transaction behind `acceptInstall`. */
export async function acceptInstall(
  tx: Tx,
  request: AcceptInstall,
  defaults: TenantQuotas,
): Promise<Accepted> {
  const { idempotency, tenantId, by } = request;
  // Serialises requests of a tenant, so that simultaneous ones do not exceed a quota together.
  await serializeTenant(tx, tenantId);
  await holdTenant(tx, tenantId);
  await holdKey(tx, by);
  await holdParent(tx, request.parentId);
  if (idempotency === undefined) return accept(tx, request, defaults);
  const earlier = await claimKey(tx, idempotency);
  if (earlier !== undefined) return toAnswer(earlier);
  const accepted = await accept(tx, request, defaults);
  await keepAnswer(tx, idempotency, accepted);
  return accepted;
}

async function accept(tx: Tx, request: AcceptInstall, defaults: TenantQuotas): Promise<Accepted> {
  const { tenantId, pluginId, identifier, source } = request;
  const asked = {
    limitsAsked: jsonValue(request.limitsAsked),
    limitsGranted: jsonValue(request.limitsGranted),
    warnings: jsonValue(request.warnings),
    ...(request.permissions !== undefined && { permissions: jsonValue(request.permissions) }),
  };
  const { count } = await tx.installation.createMany({
    data: {
      id: await installationId(tx, request),
      tenantId,
      pluginId,
      identifier,
      source,
      desired: "enabled",
      state: "installing",
      meta: jsonValue(request.meta),
      ...asked,
    },
    skipDuplicates: true,
  });
  const found = await lockByPlugin(tx, request);
  await noteHold(tx, found.id, { parentId: request.parentId, isNew: count > 0 });
  if (count > 0) {
    await checkInstallations(tx, tenantId, defaults);
    return withInstall(tx, found, request);
  }
  assertSame(found, request);
  const known = await knownTask(tx, found);
  if (known !== null) assertSamePermissions(found, request);
  if (known !== null) return { installation: toInstallation(found), task: toTask(known), created: false };
  // Limits that the tenant chose replace those of the manifest.
  const limitsGranted = jsonValue({ ...request.limitsGranted, ...Object(found.limitsWanted) });
  const again = await tx.installation.update({
    where: { id: found.id },
    data: { state: "installing", cause: Prisma.DbNull, ...asked, limitsGranted },
  });
  await touch(tx, found.id);
  return withInstall(tx, again, request);
}

/** The task that installs it, or that installed its identifier. Throws `conflict` during a change to another identifier. */
async function knownTask(tx: Tx, found: rows.Installation): Promise<rows.Task | null> {
  const unfinished = await tx.task.findFirst({ where: { installationId: found.id, finishedAt: null } });
  if (unfinished?.kind === "install") return unfinished;
  if (unfinished !== null && (found.state === "failed" || unfinished.identifier !== found.identifier))
    throw otherChangeRunning(unfinished);
  if (found.state === "failed") return null;
  return (await taskThatInstalled(tx, found)) ?? (await latestTask(tx, found.id));
}

/** An installation of the daemon keeps its id: it is the same installation. */
async function installationId(tx: Tx, { tenantId, pluginId, identifier }: AcceptInstall): Promise<string> {
  const installed = await tx.pluginInstallation.findFirst({ where: { tenantId, pluginId } });
  if (installed === null) return uuid7();
  const value = installed.pluginUniqueIdentifier ?? "";
  if (value !== identifier) throw otherVersion(identifier, value);
  return installed.id;
}

async function lockByPlugin(tx: Tx, { tenantId, pluginId }: AcceptInstall): Promise<rows.Installation> {
  await tx.$queryRaw`
    SELECT id FROM berth_installations
    WHERE tenant_id = ${tenantId}::uuid AND plugin_id = ${pluginId} FOR UPDATE`;
  const row = await tx.installation.findUnique({ where: { tenantId_pluginId: { tenantId, pluginId } } });
  // It existed a moment ago: an uninstall has ended in between, and the caller's next try succeeds.
  if (row === null) throw new Fault("conflict", `${pluginId} has just been uninstalled; retry.`);
  return row;
}

function assertSame(found: rows.Installation, { identifier }: AcceptInstall): void {
  if (found.desired === "removed")
    throw new Fault("conflict", `${found.pluginId} is being uninstalled; retry when that has ended.`, {
      details: { field: "identifier", value: identifier, installationId: found.id },
    });
  if (found.source === REMOTE) throw isConnected(found.pluginId);
  if (found.identifier !== identifier) throw otherVersion(identifier, found.identifier);
}

/** A repeated request must not seem to have refused what it has not. */
function assertSamePermissions(found: rows.Installation, { permissions }: AcceptInstall): void {
  if (permissions === undefined) return;
  const before = toPermissions(found.permissions);
  if (PERMISSIONS.every((name) => before[name] === permissions[name])) return;
  throw new Fault(
    "conflict",
    `The plugin is installed already, with other permissions (${permissionsSubject(before)}); PUT its permissions to change them.`,
    { details: { field: "permissions", value: permissions, accepted: before, installationId: found.id } },
  );
}

function otherVersion(value: string, installed: string): Fault {
  return new Fault("conflict", `Another version of this plugin is installed: ${installed}.`, {
    details: { field: "identifier", value, accepted: installed },
  });
}

/**
 * Records that a parent task holds the installation, beside other tasks that hold it. An installation that is requested by
 * itself loses all holds: it stays whatever happens to those tasks.
 */
async function noteHold(
  tx: Tx,
  installationId: string,
  { parentId, isNew }: { readonly parentId: string | undefined; readonly isNew: boolean },
): Promise<void> {
  if (parentId === undefined) await tx.taskHold.deleteMany({ where: { installationId } });
  else if (isNew || (await tx.taskHold.count({ where: { installationId } })) > 0)
    await tx.taskHold.createMany({ data: { taskId: parentId, installationId }, skipDuplicates: true });
}

/** Throws where the package does not exist; from here on it cannot be removed. */
async function withInstall(tx: Tx, row: rows.Installation, request: AcceptInstall): Promise<Accepted> {
  await holdPackage(tx, row.identifier);
  const { permissions, by } = request;
  if (permissions !== undefined) await writePermissionsEvent(tx, row, { chosen: permissions, by });
  return withNewTask(tx, row, "install", request);
}

interface Below {
  readonly by?: Actor | undefined;
  readonly parentId?: TaskId | undefined;
  readonly input?: Task["input"] | undefined;
}

export async function withNewTask(
  tx: Tx,
  row: rows.Installation,
  kind: "install" | "uninstall",
  { by, parentId, input }: Below,
): Promise<Accepted> {
  const { id: installationId, tenantId, identifier } = row;
  const task = await createTask(tx, { kind, tenantId, installationId, identifier, parentId, input });
  await writeEvent(tx, {
    kind: `installation.${kind}`,
    by,
    tenantId,
    installationId,
    taskId: task.id,
    subject: identifier,
    result: "accepted",
  });
  return { installation: toInstallation(row), task: toTask(task), created: true };
}

async function latestTask(tx: Tx, installationId: string): Promise<rows.Task | null> {
  return tx.task.findFirst({ where: { installationId }, orderBy: [{ createdAt: "desc" }, { id: "desc" }] });
}

/** Sets the time of change by the database's clock at the time of writing, on which `changedSince` depends. */
export async function touch(tx: Tx, id: string): Promise<void> {
  await tx.$executeRaw`UPDATE berth_installations SET updated_at = clock_timestamp() WHERE id = ${id}::uuid`;
}
