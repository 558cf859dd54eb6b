import { z } from "zod";
import { InstallationId } from "../../../domain/ids.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest, TaskSchema, TenantParams, taskJson } from "../../schemas.ts";

const Query = PageQuery.extend({ installation_id: z.string().pipe(InstallationId).optional() });

export function addListTasks(routes: Routes, { store }: { store: Pick<Store, "tasks"> }): void {
  routes.add(
    {
      name: "listTasks",
      method: "get",
      path: "/v1/tenants/{tenant}/tasks",
      tag: "tasks",
      summary: "Lists a tenant's tasks, newest first.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      query: Query,
      answers: { 200: { description: "A page", content: { "application/json": listOf(TaskSchema) } } },
    },
    async ({ params: { tenant }, query }) => {
      const installationId = query.installation_id;
      const filter = { tenantId: tenant, ...(installationId !== undefined && { installationId }) };
      const page = await store.tasks.list(filter, pageRequest(query));
      return Response.json({ items: page.items.map(taskJson), next_cursor: page.nextCursor ?? null });
    },
  );
}
