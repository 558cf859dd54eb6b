import { z } from "zod";
import type { InstallationRequests } from "../../../installation/contracts.ts";
import type { Invoker } from "../../../invocation/invoke.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { AcceptedSchema } from "../../schemas.ts";
import { acceptedResponse, getInstallation, InstallationParams } from "./parts.ts";

const Query = z.strictObject({
  force: z
    .enum(["true", "false"])
    .default("false")
    .meta({ description: "Even where other installations need it" }),
  purge: z.enum(["true", "false"]).default("false").meta({
    description: "Also removes the plugin's stored data and its endpoints, which a reinstall would use again",
  }),
});

export function addRemoveInstallation(
  routes: Routes,
  deps: {
    store: Pick<Store, "installations">;
    requests: InstallationRequests;
    invoker: Pick<Invoker, "refresh">;
  },
): void {
  routes.add(
    {
      name: "uninstallPlugin",
      method: "delete",
      path: "/v1/tenants/{tenant}/installations/{id}",
      tag: "installations",
      summary: "Accepts an uninstall and refuses new calls. Repeating it returns the same task.",
      access: { opens: "tenant", scope: "installations:write" },
      params: InstallationParams,
      query: Query,
      answers: { 202: { description: "Accepted", content: { "application/json": AcceptedSchema } } },
      faults: ["installation_not_found", "dependency_in_use"],
    },
    async ({ params, query, by }) => {
      const { id } = await getInstallation(deps.store, params);
      const accepted = await deps.requests.uninstall(id, {
        by,
        force: query.force === "true",
        ...(query.purge === "true" && { input: { purge: true } }),
      });
      // polling would see it too, but later
      await deps.invoker.refresh();
      return acceptedResponse(accepted);
    },
  );
}
