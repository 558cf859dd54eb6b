import { z } from "@hono/zod-openapi";
import { SIGNATURE_CATEGORIES, type TrustedKey } from "../../../domain/trust.ts";
import type { PackageTrust } from "../../../installation/trust/trust.ts";
import type { Admission } from "../../../store/contracts/trust.ts";

const Time = z.string().meta({ format: "date-time" });

export const TrustedKeySchema = z
  .object({
    id: z.string().meta({ description: "SHA-256 of the key's DER form (SPKI), hex" }),
    name: z.string(),
    public_key: z.string().meta({ description: "PEM" }),
    origin: z
      .enum(["settings", "api"])
      .meta({ description: "`settings`: from a file of BERTH_TRUSTED_KEYS" }),
    created_at: Time.nullable(),
  })
  .openapi("TrustedKey");

export const AdmissionSchema = z
  .object({ checksum: z.string(), note: z.string(), created_at: Time })
  .openapi("Admission");

export const SignatureSchema = z
  .object({
    key_id: z.string(),
    key_name: z.string(),
    category: z.enum(SIGNATURE_CATEGORIES).nullable(),
    time: z.int().meta({ description: "Unix time in seconds, as the signer says" }),
    signature: z.string().meta({ description: "Base64" }),
    created_at: Time.meta({ description: "When Berth received it" }),
  })
  .openapi("Signature");

export function signatureJson(
  signature: PackageTrust["signatures"][number],
): z.input<typeof SignatureSchema> {
  const { keyId, keyName, category = null, time, createdAt } = signature;
  const came = { created_at: createdAt.toISOString() };
  return { key_id: keyId, key_name: keyName, category, time, signature: signature.signature, ...came };
}

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
