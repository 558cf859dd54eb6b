import { z } from "zod";
import { Fault } from "../../../domain/fault.ts";
import { TaskId, TenantId } from "../../../domain/ids.ts";
import type { Task } from "../../../domain/task.ts";
import type { Store } from "../../../store/store.ts";

export const TaskParams = z.object({ tenant: TenantId, id: TaskId });

/** Throws `task_not_found`, also for a task of another tenant. */
export async function getTask(
  store: Pick<Store, "tasks">,
  { tenant, id }: z.output<typeof TaskParams>,
): Promise<Task> {
  const task = await store.tasks.find(id);
  if (task !== undefined && task.tenantId === tenant) return task;
  throw new Fault("task_not_found", `The tenant has no task ${id}.`, {
    details: { field: "id", value: id, accepted: "the id of a task of this tenant" },
  });
}
