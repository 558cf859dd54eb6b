import { z } from "@hono/zod-openapi";
import type { TrustedKey } from "../../../domain/trust.ts";
import type { Admission } from "../../../store/trust-rows.ts";

const Time = z.string().meta({ format: "date-time" });

export const TrustedKeySchema = z
  .object({
    id: z.string().meta({ description: "SHA-256 of the key's DER form (SPKI), hex" }),
    name: z.string(),
    public_key: z.string().meta({ description: "PEM" }),
    origin: z.enum(["settings", "api"]).meta({ description: "`settings`: a file of BERTH_TRUSTED_KEYS" }),
    created_at: Time.nullable(),
  })
  .openapi("TrustedKey");

export const AdmissionSchema = z
  .object({ checksum: z.string(), note: z.string(), created_at: Time })
  .openapi("Admission");

export function trustedKeyJson({
  id,
  name,
  pem,
  origin,
  createdAt,
}: TrustedKey): z.input<typeof TrustedKeySchema> {
  return { id, name, public_key: pem, origin, created_at: createdAt?.toISOString() ?? null };
}

export function admissionJson({ checksum, note, createdAt }: Admission): z.input<typeof AdmissionSchema> {
  return { checksum, note, created_at: createdAt.toISOString() };
}
