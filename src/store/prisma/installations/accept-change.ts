/**
 * The acceptance of a change of an installation. It locks the installation's row, so that one of two simultaneous changes
 * is refused.
 */
import { Fault, installationNotFound } from "../../../domain/fault.ts";
import { REMOTE } from "../../../domain/installation.ts";
import type { Accepted } from "../../contracts/answers.ts";
import type { AcceptChange } from "../../contracts/installations.ts";
import type { Tx } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { holdPackage } from "../packages/packages.ts";
import { toTask } from "../tasks/task-row.ts";
import { createTask, holdParent } from "../tasks/task-writes.ts";
import { holdKey, holdTenant, writeEvent } from "../tenants/audit.ts";
import { claimKey, keepAnswer, toAnswer } from "./idempotency.ts";
import { toInstallation } from "./installation-row.ts";

/** The transaction behind `acceptChange`. */
export async function acceptChange(tx: Tx, request: AcceptChange): Promise<Accepted> {
  const { id, idempotency, by } = request;
  const found = await tx.installation.findUnique({ where: { id } });
  if (found === null) throw installationNotFound(id);
  await holdTenant(tx, found.tenantId);
  await holdKey(tx, by);
  await holdParent(tx, request.parentId);
  if (idempotency === undefined) return await accept(tx, request);
  const earlier = await claimKey(tx, idempotency);
  if (earlier !== undefined) return toAnswer(earlier);
  const accepted = await accept(tx, request);
  await keepAnswer(tx, idempotency, accepted);
  return accepted;
}

async function accept(tx: Tx, request: AcceptChange): Promise<Accepted> {
  const { id, kind, input = {}, by } = request;
  await tx.$queryRaw`SELECT id FROM berth_installations WHERE id = ${id}::uuid FOR UPDATE`;
  const found = await tx.installation.findUnique({ where: { id } });
  if (found === null) throw installationNotFound(id);
  const unfinished = await tx.task.findFirst({
    where: { installationId: id, finishedAt: null },
    orderBy: [{ createdAt: "desc" }, { id: "desc" }],
  });
  if (unfinished !== null) {
    if (!isSame(unfinished, request)) throw otherChangeRunning(unfinished);
    await forgetDue(tx, request);
    return { installation: toInstallation(found), task: toTask(unfinished), created: false };
  }
  const identifier = identifierOf(found, request);
  assertPossible(found, request);
  if (identifier !== found.identifier) await holdPackage(tx, identifier);
  await forgetDue(tx, request);
  const known =
    kind === "upgrade" && identifier === found.identifier ? await taskThatInstalled(tx, found) : null;
  if (known !== null) return { installation: toInstallation(found), task: toTask(known), created: false };
  const changed = await applyAtOnce(tx, found, request);
  const task = await createTask(tx, {
    kind,
    input,
    identifier,
    parentId: request.parentId,
    tenantId: found.tenantId,
    installationId: id,
  });
  await writeEvent(tx, {
    kind: `installation.${kind}`,
    by,
    tenantId: found.tenantId,
    installationId: id,
    taskId: task.id,
    subject: identifier,
    result: "accepted",
  });
  return { installation: toInstallation(changed), task: toTask(task), created: true };
}

/** Applies at once what a change does to calls: a `disable` refuses them from its acceptance on. */
async function applyAtOnce(tx: Tx, found: rows.Installation, { kind }: AcceptChange) {
  if (kind === "disable")
    await tx.$executeRaw`
      UPDATE berth_installations SET desired = 'disabled', state = 'disabled', cause = NULL,
        updated_at = clock_timestamp()
      WHERE id = ${found.id}::uuid`;
  else if (kind === "enable")
    await tx.$executeRaw`
      UPDATE berth_installations SET desired = 'enabled', updated_at = clock_timestamp()
      WHERE id = ${found.id}::uuid`;
  else return found;
  return await tx.installation.findUniqueOrThrow({ where: { id: found.id } });
}

function isSame(task: rows.Task, { kind, identifier, input = {} }: AcceptChange): boolean {
  if (task.kind !== kind) return false;
  if (kind === "upgrade" && task.identifier !== identifier) return false;
  return kind !== "limits" || sorted(task.input) === sorted(input);
}

/** JSON with sorted keys: the database returns the keys of an object in its own order. */
function sorted(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${sorted(inner)}`).join()}}`;
}

/** The identifier after the change. */
function identifierOf(found: rows.Installation, { kind, identifier }: AcceptChange): string {
  if (kind === "upgrade") return identifier ?? found.identifier;
  if (kind !== "rollback") return found.identifier;
  if (found.previousIdentifier !== null) return found.previousIdentifier;
  throw new Fault("conflict", `${found.pluginId} has no previous version.`, {
    details: { field: "previous_identifier", value: null, accepted: "an installation that was upgraded" },
  });
}

function assertPossible(found: rows.Installation, { kind }: AcceptChange): void {
  const { pluginId, state, desired, source } = found;
  if (desired === "removed") throw new Fault("conflict", `${pluginId} is being uninstalled.`);
  if (source === REMOTE) throw isConnected(pluginId);
  if (kind === "restart" && desired === "disabled")
    throw new Fault("plugin_disabled", `${pluginId} is disabled; enable it to start it.`, {
      details: { state: "disabled" },
    });
  const isStopping = kind === "restart" || kind === "enable" || kind === "disable";
  if (isStopping && (state === "failed" || state === "installing"))
    throw new Fault("conflict", `${pluginId} is ${state}, so ${kind} is not possible.`, {
      details: { state, accepted: "asking for the install again, an upgrade, or an uninstall" },
    });
}

/** Refuses what only a plugin that Berth runs can be asked for. */
export function isConnected(pluginId: string): Fault {
  return new Fault(
    "conflict",
    `${pluginId} is run by its author, over a debug connection: its author restarts and ends it.`,
    { details: { field: "source", value: REMOTE, accepted: "an installation of a package" } },
  );
}

/** The task that installed its identifier; null where Berth did not install it. */
export async function taskThatInstalled(
  tx: Tx,
  { id, identifier }: rows.Installation,
): Promise<rows.Task | null> {
  return await tx.task.findFirst({
    where: {
      installationId: id,
      identifier,
      kind: { in: ["install", "upgrade", "rollback"] },
      state: "ready",
    },
    orderBy: [{ createdAt: "desc" }, { id: "desc" }],
  });
}

/** Refuses a change while that task is unfinished. */
export function otherChangeRunning({ id, kind, installationId }: rows.Task): Fault {
  return new Fault("conflict", `Another change of this installation is running: ${kind}.`, {
    details: { task_id: id, kind, installation_id: installationId },
  });
}

/** Removes a due upgrade that this request makes. */
async function forgetDue(tx: Tx, { id, kind, identifier }: AcceptChange): Promise<void> {
  if (kind !== "upgrade" || identifier === undefined) return;
  await tx.upgradeDue.deleteMany({ where: { installationId: id, identifier } });
}
