import type { AcceptTask, TaskAccepted } from "../../contracts/tasks.ts";
import { jsonText, type Tx } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { claimKey, keepAnswer, toTaskAnswer } from "../installations/idempotency.ts";
import { holdKey, holdTenant, writeEvent } from "../tenants/audit.ts";
import { serializeTenant } from "../tenants/tenant-quotas.ts";
import { toTenantTask } from "./task-row.ts";
import { createTask, holdParent } from "./task-writes.ts";

/** The transaction behind `accept`. */
export async function acceptTask(tx: Tx, request: AcceptTask): Promise<TaskAccepted> {
  const { idempotency, tenantId, by } = request;
  // Two equal requests make one task.
  await serializeTenant(tx, tenantId);
  await holdTenant(tx, tenantId);
  await holdKey(tx, by);
  await holdParent(tx, request.parentId);
  if (idempotency === undefined) return accept(tx, request);
  const earlier = await claimKey(tx, idempotency);
  if (earlier !== undefined) return toTaskAnswer(earlier);
  const accepted = await accept(tx, request);
  await keepAnswer(tx, idempotency, accepted);
  return accepted;
}

async function accept(tx: Tx, request: AcceptTask): Promise<TaskAccepted> {
  const { kind, tenantId, input, identifier = null, parentId, by } = request;
  const known = await unfinishedTwin(tx, request);
  if (known !== undefined) return { task: toTenantTask(known), created: false };
  const row = await createTask(tx, { kind, tenantId, installationId: null, identifier, parentId, input });
  await writeEvent(tx, {
    kind: `installation.${kind}`,
    by,
    tenantId,
    taskId: row.id,
    subject: identifier ?? kind,
    result: "accepted",
  });
  return { task: toTenantTask(row), created: true };
}

async function unfinishedTwin(tx: Tx, { kind, tenantId, input }: AcceptTask): Promise<rows.Task | undefined> {
  const [twin] = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM berth_tasks WHERE tenant_id = ${tenantId}::uuid AND kind = ${kind} AND finished_at IS NULL
      AND input = ${jsonText(input)}::jsonb ORDER BY created_at LIMIT 1`;
  return twin === undefined ? undefined : await tx.task.findUniqueOrThrow({ where: { id: twin.id } });
}
