import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { TaskSchema, taskJson } from "../../schemas.ts";
import { getTask, TaskParams } from "./find.ts";

export function addGetTask(routes: Routes, { store }: { store: Pick<Store, "tasks"> }): void {
  routes.add(
    {
      method: "get",
      path: "/v1/tenants/{tenant}/tasks/{id}",
      tag: "tasks",
      summary: "One task: state, and the cause where it failed.",
      access: { opens: "tenant", scope: "read" },
      params: TaskParams,
      answers: { 200: { description: "The task", content: { "application/json": TaskSchema } } },
      faults: ["task_not_found"],
    },
    async ({ params }) => Response.json(taskJson(await getTask(store, params))),
  );
}
