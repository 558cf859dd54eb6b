import { dependentJson, formatNeed } from "../../../domain/plugin-need.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { taskJson } from "../../schemas.ts";
import { type EntitySettings, entityJson, InstallationDetailSchema } from "./entity.ts";
import { InstallationParams, installationNotFound } from "./parts.ts";
import { type PermissionSettings, permissionsJson } from "./permissions.ts";

export function addGetInstallation(
  routes: Routes,
  {
    store,
    settings,
  }: {
    store: Pick<Store, "installed" | "tasks" | "dependencies">;
    settings: EntitySettings & PermissionSettings;
  },
): void {
  routes.add(
    {
      name: "getInstallation",
      method: "get",
      path: "/v1/tenants/{tenant}/installations/{id}",
      tag: "installations",
      summary:
        "Returns an installation: state, cause, declaration, limits asked and granted, warnings, last task.",
      access: { opens: "tenant", scope: "read" },
      params: InstallationParams,
      answers: {
        200: { description: "The installation", content: { "application/json": InstallationDetailSchema } },
      },
      faults: ["installation_not_found"],
    },
    async ({ params: { tenant, id } }) => {
      const installed = await store.installed.find(id);
      if (installed?.installation.tenantId !== tenant) throw installationNotFound(id);
      const task = await store.tasks.latestOf(id);
      const { identifier } = installed.installation;
      const needs = (await store.dependencies.needsOf(id)).filter((link) => link.identifier === identifier);
      const neededBy = await store.dependencies.dependentsOf(id);
      return Response.json({
        ...entityJson(installed, settings),
        permissions: permissionsJson(installed.installation, installed.declaration, settings),
        last_task: task === undefined ? null : taskJson(task),
        needs: needs.map(({ neededId, need }) => ({
          installation_id: neededId,
          type: need.type,
          value: formatNeed(need),
        })),
        needed_by: neededBy.map(dependentJson),
      });
    },
  );
}
