import { z } from "zod";
import type { Endpoints } from "../../../endpoint/endpoints.ts";
import type { Routes } from "../../route.ts";
import {
  EndpointName,
  EndpointParams,
  EndpointSchema,
  EndpointSettings,
  type EndpointUrlSettings,
  EndpointUser,
  endpointJson,
} from "./json.ts";

const Patch = z.strictObject({
  name: EndpointName.optional(),
  settings: EndpointSettings.optional().meta({
    description:
      "All settings, replacing the earlier ones; a secret sent back in its masked form is unchanged",
  }),
  user_id: EndpointUser.default("").meta({
    description: "The user who asks, for the platform that holds the secrets",
  }),
});

const PATH = "/v1/tenants/{tenant}/endpoints/{id}";
const access = { opens: "tenant", scope: "installations:write" } as const;
const spec = { path: PATH, tag: "endpoints", access, params: EndpointParams };

interface Deps {
  readonly endpoints: Endpoints;
  readonly settings: EndpointUrlSettings;
}

export function addChangeEndpoints(routes: Routes, { endpoints, settings }: Deps): void {
  routes.add(
    {
      ...spec,
      name: "changeEndpoint",
      method: "patch",
      summary: "Changes the name or the settings of an endpoint.",
      body: Patch,
      answers: { 200: { description: "The endpoint", content: { "application/json": EndpointSchema } } },
      faults: [
        ...(["endpoint_not_found", "conflict", "platform_unavailable"] as const),
        ...(["invalid_json", "unsupported_media_type", "installation_not_found"] as const),
        ...(["operation_not_found", "platform_refused", "secret_unreadable"] as const),
      ],
    },
    async ({ params: { tenant: tenantId, id }, body, by, signal }) => {
      const { name, settings: given, user_id: userId } = body;
      const change = {
        tenantId,
        id,
        userId,
        by,
        ...(name !== undefined && { name }),
        ...(given !== undefined && { settings: given }),
      };
      return Response.json(endpointJson(await endpoints.update(change, signal), settings));
    },
  );
  // these do not return the endpoint: that would need the platform to decrypt its secrets
  routes.add(
    {
      ...spec,
      name: "removeEndpoint",
      method: "delete",
      summary: "Removes an endpoint. Its URL answers 404 from now on and is never used again.",
      answers: { 204: { description: "Removed" } },
      faults: ["endpoint_not_found", "conflict"],
    },
    async ({ params: { tenant: tenantId, id }, by }) => {
      await endpoints.remove({ tenantId, id, by });
      return new Response(null, { status: 204 });
    },
  );
  addSwitch(routes, endpoints, "enable");
  addSwitch(routes, endpoints, "disable");
}

function addSwitch(routes: Routes, endpoints: Endpoints, to: "enable" | "disable"): void {
  routes.add(
    {
      ...spec,
      name: to === "enable" ? "enableEndpoint" : "disableEndpoint",
      method: "post",
      path: `${PATH}/${to}`,
      summary:
        to === "enable"
          ? "Enables an endpoint. Repeating it changes nothing."
          : "Disables an endpoint: its URL answers 404, everything else stays. Repeating it changes nothing.",
      answers: { 204: { description: "Done" } },
      faults: ["endpoint_not_found", "conflict"],
    },
    async ({ params: { tenant: tenantId, id }, by }) => {
      await endpoints.setEnabled({ tenantId, id, enabled: to === "enable", by });
      return new Response(null, { status: 204 });
    },
  );
}
