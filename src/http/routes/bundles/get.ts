import { z } from "zod";
import { bundleNotFound } from "../../../domain/fault.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { BundleDetailSchema, bundleDetailJson } from "./json.ts";

export function addGetBundle(
  routes: Routes,
  { store }: { store: Pick<Store, "bundles" | "packages"> },
): void {
  routes.add(
    {
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
