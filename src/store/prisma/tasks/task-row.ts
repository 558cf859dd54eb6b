import type { InstallationId, TaskId, TenantId } from "../../../domain/ids.ts";
import {
  type InstallationTask,
  isTenantTask,
  type Task,
  type TaskEnding,
  type TaskEvent,
  type TaskEventData,
  TENANT_TASKS,
  type TenantTask,
} from "../../../domain/task.ts";
import { toCause } from "../client/database.ts";
import type * as rows from "../generated/client.ts";

export function toTask(row: rows.Task): Task {
  const task = {
    id: row.id as TaskId,
    tenantId: row.tenantId as TenantId,
    parentId: (row.parentId ?? undefined) as TaskId | undefined,
    input: (row.input ?? {}) as Task["input"],
    ending: toEnding(row.ending),
    state: row.state as Task["state"],
    cause: toCause(row.cause),
    attempt: row.attempt,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
    finishedAt: row.finishedAt ?? undefined,
  };
  const { kind } = row;
  if (isTenantKind(kind))
    return { ...task, kind, installationId: undefined, identifier: row.identifier ?? undefined };
  return {
    ...task,
    kind: kind as InstallationTask["kind"],
    installationId: row.installationId as InstallationId,
    identifier: row.identifier ?? "",
  };
}

/** Throws for the row of an installation's task. */
export function toTenantTask(row: rows.Task): TenantTask {
  const task = toTask(row);
  if (isTenantTask(task)) return task;
  throw new Error(`the task ${task.id} is one of an installation`);
}

function isTenantKind(kind: string): kind is TenantTask["kind"] {
  return (TENANT_TASKS as readonly string[]).includes(kind);
}

export function toTaskEvent(row: rows.TaskEvent): TaskEvent {
  return { ...(row.data as unknown as TaskEventData), seq: row.seq, at: row.at };
}

export function toEnding(value: unknown): TaskEnding | undefined {
  return value === null ? undefined : (value as TaskEnding);
}
