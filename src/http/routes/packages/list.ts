import { z } from "zod";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import {
  listOf,
  PackageSchema,
  PageQuery,
  type PlatformSettings,
  packageJson,
  pageRequest,
} from "../../schemas.ts";

const Query = PageQuery.extend({ plugin_id: z.string().optional() });

export function addListPackages(
  routes: Routes,
  { store, settings: { platformVersion } }: { store: Pick<Store, "packages">; settings: PlatformSettings },
): void {
  routes.add(
    {
      name: "listPackages",
      method: "get",
      path: "/v1/packages",
      tag: "packages",
      summary: "Lists packages, newest first; a tenant's key sees what its tenant uploaded or has installed.",
      access: { opens: "any", scope: "read" },
      query: Query,
      answers: { 200: { description: "A page", content: { "application/json": listOf(PackageSchema) } } },
      faults: ["invalid_input"],
    },
    async ({ query, principal: { tenantId } }) => {
      const filter = {
        ...(tenantId !== undefined && { tenantId }),
        ...(query.plugin_id !== undefined && { pluginId: query.plugin_id }),
      };
      const page = await store.packages.list(filter, pageRequest(query));
      return Response.json({
        items: page.items.map((stored) => packageJson(stored, platformVersion)),
        next_cursor: page.nextCursor ?? null,
      });
    },
  );
}
