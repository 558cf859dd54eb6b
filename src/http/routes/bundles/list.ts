import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest } from "../../schemas.ts";
import { BundleSchema, bundleJson } from "./json.ts";

export function addListBundles(routes: Routes, { store }: { store: Pick<Store, "bundles"> }): void {
  routes.add(
    {
      method: "get",
      path: "/v1/bundles",
      tag: "bundles",
      summary: "Lists bundles, newest first; a tenant's key sees what its tenant uploaded.",
      access: { opens: "any", scope: "read" },
      query: PageQuery,
      answers: { 200: { description: "A page", content: { "application/json": listOf(BundleSchema) } } },
      faults: ["invalid_input"],
    },
    async ({ query, principal: { tenantId } }) => {
      const page = await store.bundles.list(tenantId === undefined ? {} : { tenantId }, pageRequest(query));
      return Response.json({ items: page.items.map(bundleJson), next_cursor: page.nextCursor ?? null });
    },
  );
}
