/** The JSON form of an endpoint. */
import { z } from "@hono/zod-openapi";
import { EndpointId } from "../../../domain/endpoint.ts";
import { TenantId } from "../../../domain/ids.ts";
import type { ShownEndpoint } from "../../../endpoint/endpoints.ts";
import { FaultBodySchema } from "../../schemas.ts";
import type { EntitySettings } from "../installations/entity.ts";

export const EndpointParams = z.object({ tenant: TenantId, id: EndpointId });

export const EndpointName = z.string().min(1).max(127);
export const EndpointSettings = z
  .record(z.string(), z.unknown())
  .meta({ description: "Keyed by the names in the plugin's `settings_schema`" });
export const EndpointUser = z
  .string()
  .max(64)
  .meta({ description: "The platform's user for whom it is created" });

const Time = z.string().meta({ format: "date-time" });

export const EndpointSchema = z
  .object({
    id: z.string(),
    tenant_id: z.string(),
    plugin_id: z.string(),
    user_id: z.string(),
    name: z.string(),
    enabled: z.boolean(),
    hook_id: z.string(),
    url: z.string().meta({
      description: "Anybody who knows it can call it. A URL where `BERTH_PUBLIC_URL` is set, else a path",
    }),
    settings: z.record(z.string(), z.unknown()).meta({
      description: "Secrets show at most their first and last two characters; unreadable ones are left out",
    }),
    settings_schema: z.array(z.unknown()).meta({ description: "The plugin's declaration of its settings" }),
    endpoints: z.array(z.unknown()).meta({ description: "Paths and methods, as the plugin declares them" }),
    cause: FaultBodySchema.shape.error
      .nullable()
      .meta({ description: "Why secrets are left out; null where none is" }),
    created_at: Time,
    updated_at: Time,
  })
  .openapi("Endpoint");

export type EndpointUrlSettings = Pick<EntitySettings, "publicUrl">;

export function endpointJson(
  { record, settings, offer, cause }: ShownEndpoint,
  { publicUrl = "" }: EndpointUrlSettings,
): z.input<typeof EndpointSchema> {
  return {
    id: record.id,
    tenant_id: record.tenantId,
    plugin_id: record.pluginId,
    user_id: record.userId,
    name: record.name,
    enabled: record.enabled,
    hook_id: record.hookId,
    url: `${publicUrl}/e/${record.hookId}`,
    settings: { ...settings },
    settings_schema: [...(offer?.settings ?? [])],
    endpoints: [...(offer?.endpoints ?? [])],
    cause: cause ?? null,
    created_at: record.createdAt.toISOString(),
    updated_at: record.updatedAt.toISOString(),
  };
}
