import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { taskJson } from "../../schemas.ts";
import { type EntitySettings, entityJson, InstallationDetailSchema } from "./entity.ts";
import { InstallationParams, installationNotFound } from "./find.ts";

export function addGetInstallation(
  routes: Routes,
  { store, settings }: { store: Pick<Store, "installed" | "tasks">; settings: EntitySettings },
): void {
  routes.add(
    {
      method: "get",
      path: "/v1/tenants/{tenant}/installations/{id}",
      tag: "installations",
      summary: "One installation: state, cause, declaration, limits asked and granted, warnings, last task.",
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
      return Response.json({
        ...entityJson(installed, settings),
        last_task: task === undefined ? null : taskJson(task),
      });
    },
  );
}
