import { z } from "zod";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";

export function addRemoveBundle(routes: Routes, { store }: { store: Pick<Store, "bundles"> }): void {
  routes.add(
    {
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
