import { z } from "@hono/zod-openapi";
import { findTools } from "../../../installation/find-tools.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { TenantParams } from "../../schemas.ts";
import { OWNER_FIELDS, ownerJson } from "../installations/entity.ts";

const Query = z.strictObject({
  provider: z
    .string({ error: "organisation/plugin/provider" })
    .max(400)
    .meta({ description: "`organisation/plugin/provider`", example: "berth/echo/echo" }),
});

const ToolsSchema = z
  .object({
    provider: z.string().meta({ description: "`organisation/plugin/provider`" }),
    ...OWNER_FIELDS,
    tools: z.array(z.unknown()).meta({ description: "As the declaration has them" }),
  })
  .openapi("Tools");

export function addListTools(
  routes: Routes,
  { store }: { store: Pick<Store, "installations" | "installed"> },
): void {
  routes.add(
    {
      name: "listTools",
      method: "get",
      path: "/v1/tenants/{tenant}/tools",
      tag: "providers",
      summary: "Lists the tools of one provider, given by its full name.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      query: Query,
      answers: { 200: { description: "The tools", content: { "application/json": ToolsSchema } } },
      faults: ["installation_not_found", "provider_not_found", "plugin_not_ready"],
    },
    async ({ params: { tenant }, query: { provider } }) => {
      const found = await findTools({ store }, tenant, provider);
      return Response.json({ provider, ...ownerJson(found), tools: found.tools });
    },
  );
}
