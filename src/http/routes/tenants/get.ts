import type { Tenants } from "../../../installation/tenants.ts";
import type { Routes } from "../../route.ts";
import { TenantParams } from "../../schemas.ts";
import { TenantSchema, tenantJson } from "./json.ts";

export function addGetTenant(routes: Routes, { tenants }: { tenants: Pick<Tenants, "get"> }): void {
  routes.add(
    {
      method: "get",
      path: "/v1/tenants/{tenant}",
      tag: "tenants",
      summary: "Returns a tenant with its installations and usage.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      answers: { 200: { description: "The tenant", content: { "application/json": TenantSchema } } },
      faults: ["not_found"],
    },
    async ({ params: { tenant } }) => Response.json(tenantJson(await tenants.get(tenant))),
  );
}
