import { createHash } from "node:crypto";
import { z } from "zod";
import { invalidInput } from "../../../domain/fault.ts";
import type { InstallationRequests } from "../../../installation/contracts.ts";
import type { IdempotencyClaim } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { AcceptedSchema, TenantParams } from "../../schemas.ts";
import { acceptedResponse } from "./accepted.ts";

const Body = z.strictObject({
  identifier: z
    .string()
    .min(1)
    .max(300)
    .meta({ description: "`author/name:version@checksum` of an uploaded package" }),
});

export function addCreateInstallation(
  routes: Routes,
  { requests }: { requests: InstallationRequests },
): void {
  routes.add(
    {
      method: "post",
      path: "/v1/tenants/{tenant}/installations",
      tag: "installations",
      summary: "Accepts an install. The same again returns what is there; `Idempotency-Key` holds for 24 h.",
      access: { opens: "tenant", scope: "installations:write" },
      params: TenantParams,
      body: Body,
      answers: { 202: { description: "Accepted", content: { "application/json": AcceptedSchema } } },
      faults: [
        "invalid_json",
        "package_not_found",
        "conflict",
        "idempotency_mismatch",
        "unsupported_media_type",
      ],
    },
    async ({ params: { tenant }, body: { identifier }, principal, by, header, request }) => {
      const idempotency = idempotencyClaim(principal.keyId, header("idempotency-key"), {
        path: new URL(request.url).pathname,
        body: identifier,
      });
      const accepted = await requests.install({
        tenantId: tenant,
        identifier,
        by,
        asTenant: principal.tenantId !== undefined,
        ...(idempotency !== undefined && { idempotency }),
      });
      return acceptedResponse(accepted);
    },
  );
}

function idempotencyClaim(
  holder: string,
  key: string | undefined,
  { path, body }: { path: string; body: string },
): IdempotencyClaim | undefined {
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
    throw invalidInput("Idempotency-Key", key, "1 to 200 visible ASCII characters");
  }
  return { holder, key, requestHash: createHash("sha256").update(`POST ${path}\n${body}`).digest("hex") };
}
