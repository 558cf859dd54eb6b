import { z } from "@hono/zod-openapi";
import type { TenantUse } from "../../../installation/tenants.ts";

const Count = z.int();

export const TenantSchema = z
  .object({
    id: z.string(),
    created_at: z.string().meta({ format: "date-time" }),
    removing_task_id: z
      .string()
      .nullable()
      .meta({ description: "The task that removes the tenant; if it failed, repeat the request" }),
    installations: z.object({
      total: Count,
      ...{
        installing: Count,
        ready: Count,
        failed: Count,
        crash_loop: Count,
        disabled: Count,
        removing: Count,
      },
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

export function tenantJson(tenant: TenantUse): z.input<typeof TenantSchema> {
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
