import { TenantId } from "../../../domain/ids.ts";
import type { Keyring } from "../../../keys/keyring.ts";
import type { Routes } from "../../route.ts";
import { KeySchema, keyJson, listOf, PageQuery, pageRequest } from "../../schemas.ts";

const Query = PageQuery.extend({ tenant_id: TenantId.optional() });

export function addListKeys(routes: Routes, { keyring }: { keyring: Pick<Keyring, "list"> }): void {
  routes.add(
    {
      method: "get",
      path: "/v1/keys",
      tag: "keys",
      summary: "Lists keys, newest first, including expired and revoked ones; never the secrets themselves.",
      access: "admin",
      query: Query,
      answers: { 200: { description: "A page", content: { "application/json": listOf(KeySchema) } } },
      faults: ["invalid_input"],
    },
    async ({ query }) => {
      const { tenant_id: tenantId } = query;
      const page = await keyring.list(tenantId === undefined ? {} : { tenantId }, pageRequest(query));
      const now = new Date();
      return Response.json({
        items: page.items.map((key) => keyJson(key, now)),
        next_cursor: page.nextCursor ?? null,
      });
    },
  );
}
