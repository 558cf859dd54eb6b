import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { InstallationDetailSchema, installationJson, taskJson } from "../../schemas.ts";
import { getInstallation, InstallationParams } from "./find.ts";

export function addGetInstallation(
  routes: Routes,
  { store }: { store: Pick<Store, "installations" | "tasks"> },
): void {
  routes.add(
    {
      method: "get",
      path: "/v1/tenants/{tenant}/installations/{id}",
      tag: "installations",
      summary: "One installation: state, cause, limits asked and granted, warnings, last task.",
      access: { opens: "tenant", scope: "read" },
      params: InstallationParams,
      answers: {
        200: { description: "The installation", content: { "application/json": InstallationDetailSchema } },
      },
      faults: ["installation_not_found"],
    },
    async ({ params }) => {
      const installation = await getInstallation(store, params);
      const task = await store.tasks.latestOf(installation.id);
      return Response.json({
        ...installationJson(installation),
        last_task: task === undefined ? null : taskJson(task),
      });
    },
  );
}
