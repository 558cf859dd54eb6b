import { z } from "zod";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { TenantParams } from "../../schemas.ts";

const Settings = z.strictObject({
  upgrade: z.boolean().meta({
    description: "Upgrades its installations to every newer version that the tenant or the operator uploads",
  }),
});
const answers = { 200: { description: "The settings", content: { "application/json": Settings } } };

export function addTenantSettings(
  routes: Routes,
  { store: { tenants } }: { store: Pick<Store, "tenants"> },
): void {
  const path = "/v1/tenants/{tenant}/settings";
  routes.add(
    {
      name: "getTenantSettings",
      method: "get",
      path,
      tag: "tenants",
      summary: "Returns the settings for all of a tenant's installations.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      answers,
    },
    async ({ params: { tenant } }) => Response.json(await tenants.settings(tenant)),
  );
  routes.add(
    {
      name: "setTenantSettings",
      method: "put",
      path,
      tag: "tenants",
      summary: "Changes the settings for all of a tenant's installations.",
      access: { opens: "tenant", scope: "installations:write" },
      params: TenantParams,
      body: Settings,
      answers,
      faults: ["invalid_json", "unsupported_media_type", "conflict"],
    },
    async ({ params: { tenant }, body, by }) => {
      await tenants.setSettings(tenant, body, by);
      return Response.json(await tenants.settings(tenant));
    },
  );
}
