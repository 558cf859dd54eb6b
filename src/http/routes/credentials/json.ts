/** The JSON form of a credential: never its values. */
import { z } from "@hono/zod-openapi";
import { CREDENTIAL_KINDS, CredentialId } from "../../../domain/credential.ts";
import { TenantId } from "../../../domain/ids.ts";
import type { ShownCredential } from "../../../installation/credentials/credentials.ts";

export const CredentialParams = z.object({ tenant: TenantId, id: CredentialId });
export const CredentialKindSchema = z.enum(CREDENTIAL_KINDS);
export const CredentialValues = z
  .record(z.string(), z.unknown())
  .meta({ description: "By the names of the provider's declaration; they are never returned" });

const Time = z.string().meta({ format: "date-time" });

export const CredentialSchema = z
  .object({
    id: z.string(),
    tenant_id: z.string(),
    plugin_id: z.string(),
    provider: z.string().meta({ description: "`author/plugin/provider`" }),
    kind: CredentialKindSchema,
    model: z.string().nullable().meta({ description: "Null: for all models of the provider" }),
    model_type: z.string().nullable(),
    name: z.string(),
    default: z.boolean().meta({ description: "Used where a call back names no credential" }),
    fields: z.array(z.string()).meta({ description: "The names of what is kept" }),
    created_at: Time,
    updated_at: Time,
  })
  .openapi("Credential");

export const CredentialAnswer = {
  description: "The credential",
  content: { "application/json": CredentialSchema },
};

export function credentialJson(record: ShownCredential): z.input<typeof CredentialSchema> {
  return {
    id: record.id,
    tenant_id: record.tenantId,
    plugin_id: record.pluginId,
    provider: `${record.pluginId}/${record.provider}`,
    kind: record.kind,
    model: record.model?.model ?? null,
    model_type: record.model?.modelType ?? null,
    name: record.name,
    default: record.isDefault,
    fields: [...record.fields],
    created_at: record.createdAt.toISOString(),
    updated_at: record.updatedAt.toISOString(),
  };
}
