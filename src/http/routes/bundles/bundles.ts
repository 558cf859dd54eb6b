import { z } from "zod";
import { bundleNotFound } from "../../../domain/fault.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest } from "../../schemas.ts";
import { BundleDetailSchema, BundleSchema, bundleDetailJson, bundleJson } from "./json.ts";

export function addGetBundle(
  routes: Routes,
  { store }: { store: Pick<Store, "bundles" | "packages"> },
): void {
  routes.add(
    {
      name: "getBundle",
      method: "get",
      path: "/v1/bundles/{identifier}",
      pattern: "/v1/bundles/:identifier{.+}",
      tag: "bundles",
      summary: "Returns a bundle with its dependencies, in their order.",
      access: { opens: "any", scope: "read" },
      params: z.object({ identifier: z.string().min(1).meta({ example: "author/name:0.0.1@<checksum>" }) }),
      answers: { 200: { description: "The bundle", content: { "application/json": BundleDetailSchema } } },
      faults: ["bundle_not_found"],
    },
    async ({ params: { identifier }, principal: { tenantId } }) => {
      const stored = await store.bundles.find(identifier);
      // a bundle of another tenant looks like one that does not exist
      const isVisible =
        stored !== undefined &&
        (tenantId === undefined || (await store.bundles.isVisibleTo(identifier, tenantId)));
      if (!isVisible) throw bundleNotFound(identifier);
      return Response.json(await bundleDetailJson(stored, store));
    },
  );
}

export function addListBundles(routes: Routes, { store }: { store: Pick<Store, "bundles"> }): void {
  routes.add(
    {
      name: "listBundles",
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

export function addRemoveBundle(routes: Routes, { store }: { store: Pick<Store, "bundles"> }): void {
  routes.add(
    {
      name: "removeBundle",
      method: "delete",
      path: "/v1/bundles/{identifier}",
      pattern: "/v1/bundles/:identifier{.+}",
      tag: "bundles",
      summary: "Removes a bundle, whoever uploaded it. Its installed plugins stay.",
      access: { opens: "operator", scope: "packages:write" },
      params: z.object({ identifier: z.string().min(1).meta({ example: "author/name:0.0.1@<checksum>" }) }),
      answers: { 204: { description: "Removed" } },
      faults: ["bundle_not_found", "conflict"],
    },
    async ({ params: { identifier }, by }) => {
      await store.bundles.remove(identifier, by);
      return new Response(null, { status: 204 });
    },
  );
}
