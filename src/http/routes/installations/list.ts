import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import {
  InstallationSchema,
  installationJson,
  listOf,
  PageQuery,
  pageRequest,
  TenantParams,
} from "../../schemas.ts";

export function addListInstallations(
  routes: Routes,
  { store }: { store: Pick<Store, "installations"> },
): void {
  routes.add(
    {
      method: "get",
      path: "/v1/tenants/{tenant}/installations",
      tag: "installations",
      summary: "Lists a tenant's installations with state and cause, newest first.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      query: PageQuery,
      answers: {
        200: { description: "A page", content: { "application/json": listOf(InstallationSchema) } },
      },
    },
    async ({ params: { tenant }, query }) => {
      const page = await store.installations.list({ tenantId: tenant }, pageRequest(query));
      return Response.json({ items: page.items.map(installationJson), next_cursor: page.nextCursor ?? null });
    },
  );
}
