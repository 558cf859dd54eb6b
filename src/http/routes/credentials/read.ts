import type { Credentials } from "../../../installation/credentials/credentials.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest, TenantParams } from "../../schemas.ts";
import {
  CredentialAnswer,
  CredentialKindSchema,
  CredentialParams,
  CredentialSchema,
  credentialJson,
} from "./json.ts";

const Query = PageQuery.extend({ kind: CredentialKindSchema.optional() });

export function addReadCredentials(
  routes: Routes,
  { credentials }: { readonly credentials: Credentials },
): void {
  routes.add(
    {
      name: "listCredentials",
      method: "get",
      path: "/v1/tenants/{tenant}/credentials",
      tag: "credentials",
      summary: "Lists the credentials that a tenant keeps, newest first, without their values.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      query: Query,
      answers: {
        200: { description: "A page", content: { "application/json": listOf(CredentialSchema) } },
      },
    },
    async ({ params: { tenant: tenantId }, query }) => {
      const filter = { tenantId, ...(query.kind !== undefined && { kind: query.kind }) };
      const { items, nextCursor } = await credentials.list(filter, pageRequest(query));
      return Response.json({ items: items.map(credentialJson), next_cursor: nextCursor ?? null });
    },
  );
  routes.add(
    {
      name: "getCredential",
      method: "get",
      path: "/v1/tenants/{tenant}/credentials/{id}",
      tag: "credentials",
      summary: "Returns a credential without its values.",
      access: { opens: "tenant", scope: "read" },
      params: CredentialParams,
      answers: { 200: CredentialAnswer },
      faults: ["credential_not_found"],
    },
    async ({ params: { tenant: tenantId, id } }) =>
      Response.json(credentialJson(await credentials.get({ tenantId, id }))),
  );
}
