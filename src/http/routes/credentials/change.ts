import { z } from "zod";
import type { FaultCode } from "../../../domain/fault.ts";
import { invalidInput } from "../../../domain/fault.ts";
import type { Credentials } from "../../../installation/credentials/credentials.ts";
import type { Routes } from "../../route.ts";
import { TenantParams } from "../../schemas.ts";
import {
  CredentialAnswer,
  CredentialKindSchema,
  CredentialParams,
  CredentialValues,
  credentialJson,
} from "./json.ts";

const MODEL = "A model with credentials of its own, as the provider's declaration allows";
const NewBody = z.strictObject({
  provider: z
    .string()
    .max(400)
    .regex(/^[a-z0-9_-]+\/[a-z0-9_-]+\/\P{Cc}+$/u, "author/plugin/provider")
    .meta({ description: "`author/plugin/provider`" }),
  kind: CredentialKindSchema.optional().meta({
    description: "Needed where providers of several kinds have this name",
  }),
  model: z.string().min(1).max(255).optional().meta({ description: MODEL }),
  model_type: z.string().min(1).max(64).optional().meta({ description: "Together with `model`" }),
  name: z.string().meta({ description: "Unique among those of the provider" }),
  credentials: CredentialValues,
});

const path = "/v1/tenants/{tenant}/credentials/{id}";
const access = { opens: "tenant", scope: "installations:write" } as const;
const CALLED: readonly FaultCode[] = [
  ...(["invalid_json", "unsupported_media_type", "conflict", "installation_not_found"] as const),
  ...(["provider_not_found", "credentials_refused", "busy", "plugin_disabled", "plugin_not_ready"] as const),
  ...(["plugin_crashed", "plugin_timeout", "plugin_protocol"] as const),
];

export function addChangeCredentials(
  routes: Routes,
  { credentials }: { readonly credentials: Credentials },
): void {
  routes.add(
    {
      name: "createCredential",
      method: "post",
      path: "/v1/tenants/{tenant}/credentials",
      tag: "credentials",
      summary: "Keeps credentials, encrypted, once the plugin has accepted them. The first is the default.",
      access,
      params: TenantParams,
      body: NewBody,
      answers: { 201: CredentialAnswer },
      faults: CALLED,
    },
    async ({ params: { tenant: tenantId }, body, by, signal }) => {
      const { provider, kind, name, credentials: values } = body;
      const request = { tenantId, provider, kind, model: modelOf(body), name, credentials: values, by };
      const made = await credentials.create(request, signal);
      return Response.json(credentialJson(made), {
        status: 201,
        headers: { location: `/v1/tenants/${tenantId}/credentials/${made.id}` },
      });
    },
  );
  addReplace(routes, credentials);
  routes.add(
    {
      name: "removeCredential",
      method: "delete",
      path,
      tag: "credentials",
      summary: "Removes a credential. A default can be removed once another is the default, or as the last.",
      access,
      params: CredentialParams,
      answers: { 204: { description: "Removed" } },
      faults: ["credential_not_found", "conflict"],
    },
    async ({ params: { tenant: tenantId, id }, by }) => {
      await credentials.remove({ tenantId, id, by });
      return new Response(null, { status: 204 });
    },
  );
}

function addReplace(routes: Routes, credentials: Credentials): void {
  const spec = { path, tag: "credentials", access, params: CredentialParams } as const;
  routes.add(
    {
      ...spec,
      name: "replaceCredential",
      method: "put",
      summary: "Replaces the values, once the plugin has accepted them. Name, provider and default stay.",
      body: z.strictObject({ credentials: CredentialValues }),
      answers: { 200: CredentialAnswer },
      faults: ["credential_not_found", ...CALLED],
    },
    async ({ params: { tenant: tenantId, id }, body, by, signal }) => {
      const change = { tenantId, id, credentials: body.credentials, by };
      return Response.json(credentialJson(await credentials.replace(change, signal)));
    },
  );
  routes.add(
    {
      ...spec,
      name: "chooseDefaultCredential",
      method: "patch",
      summary: "Makes a credential the default of its provider, or of its model.",
      body: z.strictObject({ default: z.literal(true) }),
      answers: { 200: CredentialAnswer },
      faults: ["credential_not_found", "conflict", "invalid_json", "unsupported_media_type"],
    },
    async ({ params: { tenant: tenantId, id }, by }) =>
      Response.json(credentialJson(await credentials.makeDefault({ tenantId, id, by }))),
  );
}

function modelOf({ model, model_type: modelType }: z.output<typeof NewBody>) {
  if (model !== undefined && modelType !== undefined) return { model, modelType };
  if (model === undefined && modelType === undefined) return undefined;
  const [missing, other] = model === undefined ? ["model", "model_type"] : ["model_type", "model"];
  throw invalidInput(missing, undefined, `a value beside ${other}`);
}
