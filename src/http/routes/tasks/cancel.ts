import type { Actor } from "../../../domain/audit.ts";
import type { TaskId } from "../../../domain/ids.ts";
import type { Task } from "../../../domain/task.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { TaskSchema, taskJson } from "../../schemas.ts";
import { getTask, TaskParams } from "./get.ts";

export interface CancelTaskDeps {
  readonly store: Pick<Store, "tasks">;
  readonly requests: { cancel(id: TaskId, by?: Actor): Promise<Task> };
}

export function addCancelTask(routes: Routes, { store, requests }: CancelTaskDeps): void {
  routes.add(
    {
      name: "cancelTask",
      method: "post",
      path: "/v1/tenants/{tenant}/tasks/{id}/cancel",
      tag: "tasks",
      summary:
        "Cancels an unfinished task and its children; its `end` event follows when everything is undone. Removals cannot be cancelled.",
      access: { opens: "tenant", scope: "installations:write" },
      params: TaskParams,
      answers: { 202: { description: "Accepted", content: { "application/json": TaskSchema } } },
      faults: ["task_not_found", "conflict"],
    },
    async ({ params, by }) => {
      const { id, tenantId } = await getTask(store, params);
      const task = await requests.cancel(id, by);
      return Response.json(taskJson(task), {
        status: 202,
        headers: { location: `/v1/tenants/${tenantId}/tasks/${id}` },
      });
    },
  );
}
