import { z } from "@hono/zod-openapi";
import {
  SIGNATURE_CATEGORIES,
  SIGNATURE_POLICIES,
  TRUST_VERDICTS,
  type TrustDecision,
} from "../domain/trust.ts";

const Time = z.string().meta({ format: "date-time" });

export const TrustSchema = z
  .object({
    identifier: z.string(),
    verdict: z
      .enum(TRUST_VERDICTS)
      .meta({ description: "`unjudged`: signed, but no trusted key could verify it" }),
    policy: z.enum(SIGNATURE_POLICIES),
    policy_from: z.enum(["instance", "tenant", "request"]),
    key_id: z.string().nullable(),
    key_name: z.string().nullable(),
    category: z.enum(SIGNATURE_CATEGORIES).nullable(),
    signed_at: Time.nullable().meta({ description: "As the signer states it" }),
    decided_at: Time,
  })
  .openapi("Trust", { description: "The decision on a package's signature." });

export function trustJson(decision: TrustDecision): z.input<typeof TrustSchema> {
  return {
    identifier: decision.identifier,
    verdict: decision.verdict,
    policy: decision.policy,
    policy_from: decision.policyFrom,
    key_id: decision.keyId ?? null,
    key_name: decision.keyName ?? null,
    category: decision.category ?? null,
    signed_at: decision.signedAt ?? null,
    decided_at: decision.decidedAt,
  };
}
