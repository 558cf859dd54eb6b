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
    .meta({ description: "Also where other installations need it" }),
  purge: z
    .enum(["true", "false"])
    .default("false")
    .meta({ description: "Also what the plugin stored, and its endpoints; a reinstall would find them" }),
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
      method: "delete",
      path: "/v1/tenants/{tenant}/installations/{id}",
      tag: "installations",
      summary: "Accepts an uninstall; repeated, it returns the same task. Calls are refused from now on.",
      access: { opens: "tenant", scope: "installations:write" },
      params: InstallationParams,
      query: Query,
      answers: { 202: { description: "Accepted", content: { "application/json": AcceptedSchema } } },
      faults: ["installation_not_found", "dependency_in_use"],
    },
    async ({ params, query, by }) => {
      const { id } = await getInstallation(deps.store, params);
      const accepted = await deps.requests.uninstall(id, {
        ...{ by, force: query.force === "true" },
        ...(query.purge === "true" && { input: { purge: true } }),
      });
      // the poll would see it too, later
      await deps.invoker.refresh();
      return acceptedResponse(accepted);
    },
  );
}
