import type { Tenants } from "../../../installation/tenants.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest } from "../../schemas.ts";
import { TenantSchema, tenantJson } from "./json.ts";

export function addListTenants(routes: Routes, { tenants }: { tenants: Pick<Tenants, "list"> }): void {
  routes.add(
    {
      method: "get",
      path: "/v1/tenants",
      tag: "tenants",
      summary: "Lists tenants with their installations and usage, newest first.",
      access: { opens: "operator", scope: "read" },
      query: PageQuery,
      answers: { 200: { description: "A page", content: { "application/json": listOf(TenantSchema) } } },
      faults: ["invalid_input"],
    },
    async ({ query }) => {
      const page = await tenants.list(pageRequest(query));
      return Response.json({ items: page.items.map(tenantJson), next_cursor: page.nextCursor ?? null });
    },
  );
}
