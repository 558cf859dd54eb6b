import { z } from "zod";
import { Fault } from "../../../domain/fault.ts";
import { TaskId, TenantId } from "../../../domain/ids.ts";
import { isTaskEnded, type Task } from "../../../domain/task.ts";
import type { Invoker } from "../../../invocation/invoke.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { TaskDetailSchema, taskJson } from "../../schemas.ts";

export function addGetTask(
  routes: Routes,
  { store, invoker }: { store: Pick<Store, "tasks">; invoker: Pick<Invoker, "refresh"> },
): void {
  routes.add(
    {
      name: "getTask",
      method: "get",
      path: "/v1/tenants/{tenant}/tasks/{id}",
      tag: "tasks",
      summary: "Returns a task: state, the cause where it failed, and its child tasks.",
      access: { opens: "tenant", scope: "read" },
      params: TaskParams,
      answers: { 200: { description: "The task", content: { "application/json": TaskDetailSchema } } },
      faults: ["task_not_found"],
    },
    async ({ params }) => {
      const task = await getTask(store, params);
      // A client that sees the end here may call the plugin next.
      if (isTaskEnded(task.state)) await invoker.refresh().catch(() => undefined);
      const children = await store.tasks.children(task.id);
      return Response.json({ ...taskJson(task), children: children.map(taskJson) });
    },
  );
}

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
