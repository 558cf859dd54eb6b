import { Fault } from "../../../domain/fault.ts";
import type { Task, TaskEnding, TaskEventData, TaskKind, TaskState } from "../../../domain/task.ts";
import { jsonText, jsonValue, type Tx, uuid7 } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { undoChange } from "../installations/undo-change.ts";
import { settleBatch } from "../platform/batch-end.ts";
import { toEnding } from "./task-row.ts";
import { type EndedTask, settle } from "./task-settlement.ts";

/** The attempt on which a worker writes to a task: a stale one is refused with `lease_lost`. */
export interface Fence {
  readonly id: string;
  readonly attempt: number;
}

/** Writes the task and its first event, `queued`. */
export async function createTask(
  tx: Tx,
  task: Pick<rows.Task, "kind" | "tenantId" | "installationId" | "identifier"> & {
    readonly kind: TaskKind;
    readonly parentId?: string | undefined;
    readonly input?: Task["input"] | undefined;
  },
): Promise<rows.Task> {
  const { kind, tenantId, installationId, identifier, parentId = null, input = {} } = task;
  const row = await tx.task.create({
    data: {
      id: uuid7(),
      kind,
      tenantId,
      installationId,
      identifier,
      state: "queued",
      parentId,
      input: jsonValue(input),
    },
  });
  await writeEvents(tx, row.id, [{ type: "step", step: "queued" }]);
  return row;
}

/** Locks the task's row until the transaction ends, which puts its events in order. Throws `lease_lost`. */
export async function holdTask(tx: Tx, { id, attempt }: Fence): Promise<rows.Task> {
  const held = await tx.$executeRaw`
    UPDATE berth_tasks SET updated_at = clock_timestamp()
    WHERE id = ${id}::uuid AND attempt = ${attempt} AND holder IS NOT NULL AND finished_at IS NULL`;
  const row = held === 0 ? null : await tx.task.findUnique({ where: { id } });
  if (row === null) throw leaseLost(id);
  return row;
}

/** Event numbers have no gaps: the counter is in the task's row, which this locks. */
export async function writeEvents(tx: Tx, taskId: string, events: readonly TaskEventData[]): Promise<void> {
  if (events.length === 0) return;
  await tx.$executeRaw`
    WITH counted AS (
      UPDATE berth_tasks SET last_seq = last_seq + ${events.length} WHERE id = ${taskId}::uuid RETURNING last_seq
    )
    INSERT INTO berth_task_events (task_id, seq, data)
    SELECT ${taskId}::uuid, counted.last_seq - ${events.length} + event.place::int, event.data
    FROM counted, jsonb_array_elements(${jsonText(events)}::jsonb) WITH ORDINALITY AS event (data, place)`;
}

/** Ends the task with its `step`, `end` and audit events; nothing can claim or write it afterwards. */
export async function endTask(
  tx: Tx,
  id: string,
  end: Extract<TaskEventData, { type: "end" }>,
): Promise<void> {
  const [ended] = await tx.$queryRaw<(EndedTask & { ending: unknown })[]>`
    UPDATE berth_tasks SET state = ${end.state}, cause = ${jsonText(end.cause)}::jsonb, holder = NULL, lease_expires_at = NULL,
      updated_at = clock_timestamp(), finished_at = clock_timestamp()
    WHERE id = ${id}::uuid RETURNING id, kind, parent_id, installation_id, ending`;
  if (end.state === "ready") assertWanted(toEnding(ended?.ending ?? null));
  await tx.auditEvent.updateMany({ where: { taskId: id }, data: { result: end.state } });
  await writeEvents(tx, id, [{ type: "step", step: end.state }, end]);
  await undoChange(tx, id, end);
  if (ended !== undefined) await settle(tx, ended, end.state);
  if (ended?.kind === "batch") await settleBatch(tx, id, end.cause);
  await freeWaiters(tx, id, end.state);
}

/** Throws where another ending was accepted meanwhile, which rolls this transaction back. */
function assertWanted(ending: TaskEnding | undefined): void {
  if (ending !== undefined) throw new Fault(ending.cause.code, ending.cause.message);
}

/** Records how the task is to end, unless that is known; a waiting task becomes claimable at once. */
export async function noteEnding(tx: Tx, id: string, ending: TaskEnding): Promise<void> {
  await tx.$executeRaw`
    UPDATE berth_tasks SET ending = coalesce(ending, ${jsonText(ending)}::jsonb),
      claimable_at = CASE WHEN holder IS NULL THEN least(claimable_at, clock_timestamp()) ELSE claimable_at END
    WHERE id = ${id}::uuid AND finished_at IS NULL`;
}

/** Throws `lease_lost` where the parent has ended or is about to: no task may be created below it. */
export async function holdParent(tx: Tx, id: string | undefined): Promise<void> {
  if (id === undefined) return;
  const held = await tx.$queryRaw<unknown[]>`
    SELECT 1 AS one FROM berth_tasks WHERE id = ${id}::uuid AND finished_at IS NULL AND ending IS NULL FOR SHARE`;
  if (held.length === 0) throw leaseLost(id);
}

export function leaseLost(id: string): Fault {
  return new Fault("lease_lost", `The task ${id} has ended, or another worker holds its lease now.`);
}

/**
 * Makes tasks claimable that wait for one whose end this transaction has just written: where it is not `ready`, or where
 * they wait for no other unfinished task.
 */
async function freeWaiters(tx: Tx, id: string, state: TaskState): Promise<void> {
  await tx.taskWait.deleteMany({ where: { taskId: id } });
  const waiters = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM berth_tasks WHERE id IN (SELECT task_id FROM berth_task_waits WHERE waits_for = ${id}::uuid)
    ORDER BY id FOR UPDATE`;
  if (waiters.length === 0) return;
  await tx.$executeRaw`
    UPDATE berth_tasks AS waiter SET claimable_at = clock_timestamp()
    WHERE waiter.id IN (${Prisma.join(waiters.map((waiter) => Prisma.sql`${waiter.id}::uuid`))})
      AND waiter.finished_at IS NULL AND waiter.holder IS NULL
      AND (${state} <> 'ready' OR NOT EXISTS (
        SELECT 1 FROM berth_task_waits w JOIN berth_tasks other ON other.id = w.waits_for
        WHERE w.task_id = waiter.id AND other.finished_at IS NULL))`;
}
