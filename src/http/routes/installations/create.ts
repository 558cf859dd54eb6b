import { z } from "zod";
import { Fault, invalidInput } from "../../../domain/fault.ts";
import { Source } from "../../../domain/source.ts";
import type { InstallationRequests } from "../../../installation/contracts.ts";
import type { Principal } from "../../../keys/keyring.ts";
import type { Routes } from "../../route.ts";
import { InstallAcceptedSchema, TenantParams } from "../../schemas.ts";
import { acceptedResponse, IdempotencyHeader, idempotencyClaim } from "./parts.ts";
import { ChosenSchema } from "./permissions.ts";

const Body = z.strictObject({
  identifier: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .meta({ description: "`author/name:version@checksum` of an uploaded package" }),
  source: Source.optional().meta({ description: "Where to fetch the package from, instead of `identifier`" }),
  bundle: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .meta({ description: "Identifier of an uploaded bundle; everything it lists is installed, or nothing" }),
  verifySignature: z
    .boolean()
    .optional()
    .meta({ description: "Sets the signature policy to `require` for this install" }),
  permissions: ChosenSchema.optional(),
});
type Body = z.output<typeof Body>;

/** The members that say what to install; exactly one must be given. */
const WHAT = ["identifier", "source", "bundle"] as const satisfies readonly (keyof Body)[];

export function addCreateInstallation(
  routes: Routes,
  { requests }: { requests: InstallationRequests },
): void {
  routes.add(
    {
      name: "installPlugin",
      method: "post",
      path: "/v1/tenants/{tenant}/installations",
      tag: "installations",
      summary:
        "Accepts an install. Repeating it returns the existing one; `Idempotency-Key` is valid for 24 h.",
      access: { opens: "tenant", scope: "installations:write" },
      params: TenantParams,
      headers: IdempotencyHeader,
      body: Body,
      answers: { 202: { description: "Accepted", content: { "application/json": InstallAcceptedSchema } } },
      faults: [
        "invalid_json",
        "package_not_found",
        "conflict",
        "idempotency_mismatch",
        "unsupported_media_type",
      ],
    },
    async ({ params: { tenant }, body, principal, by, header, request }) => {
      assertMayGrant(body, principal);
      const idempotency = idempotencyClaim(principal.keyId, header("idempotency-key"), {
        method: "POST",
        url: request.url,
        text: hashed(body),
      });
      const asked = {
        tenantId: tenant,
        by,
        asTenant: principal.tenantId !== undefined,
        ...(body.verifySignature === true && { verifySignature: true }),
        ...(body.permissions !== undefined && { permissions: body.permissions }),
        ...(idempotency !== undefined && { idempotency }),
      };
      return acceptedResponse(await accept(requests, body, asked));
    },
  );
}

type Asked = Omit<Parameters<InstallationRequests["install"]>[0], "identifier">;

async function accept(requests: InstallationRequests, body: Body, asked: Asked) {
  const { identifier, source, bundle } = body;
  const given = WHAT.filter((what) => body[what] !== undefined);
  if (given.length !== 1)
    throw invalidInput("body", given.length === 0 ? undefined : given, `exactly one of ${WHAT.join(", ")}`);
  if (source !== undefined) return await requests.fetch({ ...asked, source });
  if (bundle !== undefined) return await requests.bundle({ ...asked, bundle });
  return await requests.install({ ...asked, identifier: identifier ?? "" });
}

/** Throws `forbidden` for a tenant's key, and `invalid_input` with a bundle, whose plugins ask for different things. */
function assertMayGrant({ permissions, bundle }: Body, { tenantId }: Principal): void {
  if (permissions === undefined) return;
  if (tenantId !== undefined)
    throw new Fault("forbidden", "Only an operator's key grants or refuses permissions.", {
      details: { field: "permissions", accepted: "an operator's key, or no permissions" },
    });
  if (bundle !== undefined)
    throw invalidInput("permissions", permissions, "nothing beside bundle; set those of each installation");
}

/** Earlier releases hashed a body with only an identifier as that identifier; their keys must stay valid. */
function hashed(body: Body): string {
  const { identifier, ...rest } = body;
  return identifier !== undefined && Object.keys(rest).length === 0 ? identifier : JSON.stringify(body);
}
