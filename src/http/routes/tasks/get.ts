import { isTaskEnded } from "../../../domain/task.ts";
import type { Invoker } from "../../../invocation/invoke.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { TaskDetailSchema, taskJson } from "../../schemas.ts";
import { getTask, TaskParams } from "./find.ts";

export function addGetTask(
  routes: Routes,
  { store, invoker }: { store: Pick<Store, "tasks">; invoker: Pick<Invoker, "refresh"> },
): void {
  routes.add(
    {
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
