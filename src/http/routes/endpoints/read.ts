import { z } from "zod";
import type { Endpoints } from "../../../endpoint/endpoints.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest, TenantParams } from "../../schemas.ts";
import { EndpointParams, EndpointSchema, type EndpointUrlSettings, endpointJson } from "./json.ts";

const Query = PageQuery.extend({
  plugin_id: z
    .string()
    .max(255)
    .regex(/^\P{Cc}*$/u, "text without control characters")
    .optional(),
});
const SECRET_FAULTS = ["platform_unavailable"] as const;

export function addReadEndpoints(
  routes: Routes,
  { endpoints, settings }: { endpoints: Endpoints; settings: EndpointUrlSettings },
): void {
  routes.add(
    {
      name: "listEndpoints",
      method: "get",
      path: "/v1/tenants/{tenant}/endpoints",
      tag: "endpoints",
      summary: "Lists a tenant's endpoints, newest first, with masked secrets.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      query: Query,
      answers: { 200: { description: "A page", content: { "application/json": listOf(EndpointSchema) } } },
      faults: SECRET_FAULTS,
    },
    async ({ params: { tenant: tenantId }, query, signal }) => {
      const filter = query.plugin_id === undefined ? { tenantId } : { tenantId, pluginId: query.plugin_id };
      const page = await endpoints.list(filter, pageRequest(query), signal);
      return Response.json({
        items: page.items.map((item) => endpointJson(item, settings)),
        next_cursor: page.nextCursor ?? null,
      });
    },
  );
  routes.add(
    {
      name: "getEndpoint",
      method: "get",
      path: "/v1/tenants/{tenant}/endpoints/{id}",
      tag: "endpoints",
      summary: "Returns an endpoint: its URL, its settings with masked secrets, what its plugin declares.",
      access: { opens: "tenant", scope: "read" },
      params: EndpointParams,
      answers: { 200: { description: "The endpoint", content: { "application/json": EndpointSchema } } },
      faults: ["endpoint_not_found", ...SECRET_FAULTS],
    },
    async ({ params: { tenant: tenantId, id }, signal }) =>
      Response.json(endpointJson(await endpoints.get({ tenantId, id }, signal), settings)),
  );
}
