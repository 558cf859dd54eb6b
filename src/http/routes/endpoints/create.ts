import { z } from "zod";
import { PluginId } from "../../../domain/ids.ts";
import type { Endpoints } from "../../../endpoint/endpoints.ts";
import type { Routes } from "../../route.ts";
import { TenantParams } from "../../schemas.ts";
import {
  EndpointName,
  EndpointSchema,
  EndpointSettings,
  type EndpointUrlSettings,
  EndpointUser,
  endpointJson,
} from "./json.ts";

const Body = z.strictObject({
  plugin_id: PluginId,
  name: EndpointName,
  settings: EndpointSettings.default({}),
  user_id: EndpointUser.default(""),
});

export function addCreateEndpoint(
  routes: Routes,
  { endpoints, settings }: { endpoints: Endpoints; settings: EndpointUrlSettings },
): void {
  routes.add(
    {
      name: "createEndpoint",
      method: "post",
      path: "/v1/tenants/{tenant}/endpoints",
      tag: "endpoints",
      summary:
        "Creates an enabled endpoint of an installed plugin. Its secrets are encrypted before they are stored.",
      access: { opens: "tenant", scope: "installations:write" },
      params: TenantParams,
      body: Body,
      answers: { 201: { description: "The endpoint", content: { "application/json": EndpointSchema } } },
      faults: [
        ...([
          "invalid_json",
          "unsupported_media_type",
          "installation_not_found",
          "operation_not_found",
        ] as const),
        ...(["permission_denied", "conflict", "platform_unavailable", "platform_refused"] as const),
      ],
    },
    async ({ params: { tenant: tenantId }, body, by, signal }) => {
      const { plugin_id: plugin, name, user_id: userId, settings: given } = body;
      const made = await endpoints.create({ tenantId, plugin, userId, name, settings: given, by }, signal);
      return Response.json(endpointJson(made, settings), {
        status: 201,
        headers: { location: `/v1/tenants/${tenantId}/endpoints/${made.record.id}` },
      });
    },
  );
}
