import { z } from "@hono/zod-openapi";
import type { Tenants, TenantUse } from "../../../installation/tenants.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest, TenantParams } from "../../schemas.ts";

const Count = z.int();

const TenantSchema = z
  .object({
    id: z.string(),
    created_at: z.string().meta({ format: "date-time" }),
    removing_task_id: z
      .string()
      .nullable()
      .meta({ description: "The task that removes the tenant; if it failed, repeat the request" }),
    installations: z.object({
      total: Count,
      installing: Count,
      ready: Count,
      failed: Count,
      crash_loop: Count,
      disabled: Count,
      removing: Count,
    }),
    packages_uploaded: Count,
    keys: Count.meta({ description: "Neither revoked nor expired" }),
    runtimes_running: Count.meta({
      description: "In its own pools; runtimes of shared pools count for no tenant",
    }),
    usage: z.object({
      package_bytes: Count.meta({
        description: "Archives that it uploaded; other tenants may have uploaded them too",
      }),
      storage_bytes: Count.meta({ description: "Data in its plugins' storage" }),
    }),
  })
  .openapi("Tenant");

function tenantJson(tenant: TenantUse): z.input<typeof TenantSchema> {
  const total = Object.values(tenant.installations).reduce((sum, count) => sum + count, 0);
  return {
    id: tenant.id,
    created_at: tenant.createdAt.toISOString(),
    removing_task_id: tenant.removingTaskId ?? null,
    installations: { total, ...tenant.installations },
    packages_uploaded: tenant.packages,
    keys: tenant.keys,
    runtimes_running: tenant.runtimes,
    usage: { package_bytes: tenant.packageBytes, storage_bytes: tenant.storageBytes },
  };
}

export function addGetTenant(routes: Routes, { tenants }: { tenants: Pick<Tenants, "get"> }): void {
  routes.add(
    {
      name: "getTenant",
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

export function addListTenants(routes: Routes, { tenants }: { tenants: Pick<Tenants, "list"> }): void {
  routes.add(
    {
      name: "listTenants",
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
