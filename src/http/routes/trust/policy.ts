import { z } from "zod";
import type { TenantId } from "../../../domain/ids.ts";
import { SIGNATURE_CATEGORIES, SIGNATURE_POLICIES } from "../../../domain/trust.ts";
import type { Trust } from "../../../installation/trust/trust.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { TenantParams } from "../../schemas.ts";

export interface PolicyParts {
  readonly trust: Trust;
  readonly store: Pick<Store, "trust">;
}

const Policy = z.enum(SIGNATURE_POLICIES);
const Instance = z.object({
  policy: Policy,
  no_category: z
    .enum(SIGNATURE_CATEGORIES)
    .nullable()
    .meta({ description: "What a signed package without a category counts as" }),
  langgenius_needs_category: z.boolean(),
});
const OfTenant = z.object({
  policy: Policy.meta({ description: "The one that applies" }),
  own: Policy.nullable().meta({ description: "The tenant's own; null: the instance's applies" }),
  instance: Policy,
});
const Body = z.strictObject({
  policy: Policy.nullable().meta({ description: "null: use the instance's" }),
});

export function addGetTrust(routes: Routes, { trust: { settings } }: Pick<PolicyParts, "trust">): void {
  routes.add(
    {
      name: "getTrustPolicy",
      method: "get",
      path: "/v1/trust",
      tag: "trust",
      summary: "Returns what this instance requires of a package's signature.",
      access: { opens: "any", scope: "read" },
      answers: { 200: { description: "The settings", content: { "application/json": Instance } } },
    },
    () =>
      Response.json({
        policy: settings.policy,
        no_category: settings.missingCategory ?? null,
        langgenius_needs_category: settings.isVendorChecked,
      }),
  );
}

export function addGetTenantTrust(routes: Routes, parts: PolicyParts): void {
  routes.add(
    {
      name: "getTenantTrustPolicy",
      method: "get",
      path: "/v1/tenants/{tenant}/trust",
      tag: "trust",
      summary: "Returns the signature policy for a tenant's packages.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      answers: { 200: { description: "The policy", content: { "application/json": OfTenant } } },
    },
    async ({ params: { tenant } }) => Response.json(await policyJson(parts, tenant)),
  );
}

export function addSetTenantTrust(routes: Routes, parts: PolicyParts): void {
  routes.add(
    {
      name: "setTenantTrustPolicy",
      method: "put",
      path: "/v1/tenants/{tenant}/trust",
      tag: "trust",
      summary: "Sets a tenant's own signature policy, stricter or looser than the instance's.",
      access: { opens: "operator", scope: "trust:write" },
      params: TenantParams,
      body: Body,
      answers: { 200: { description: "The policy", content: { "application/json": OfTenant } } },
      faults: ["invalid_input", "invalid_json", "unsupported_media_type", "conflict"],
    },
    async ({ params: { tenant }, body: { policy }, by }) => {
      await parts.store.trust.setPolicy(tenant, policy ?? undefined, by);
      return Response.json(await policyJson(parts, tenant));
    },
  );
}

async function policyJson(
  { trust, store }: PolicyParts,
  tenant: TenantId,
): Promise<z.input<typeof OfTenant>> {
  const own = await store.trust.policyOf(tenant);
  const instance = trust.settings.policy;
  return { policy: own ?? instance, own: own ?? null, instance };
}
