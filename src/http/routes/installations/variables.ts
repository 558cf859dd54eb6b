import { z } from "zod";
import type { PluginVariable } from "../../../domain/variables.ts";
import type { PluginVariables } from "../../../installation/variables.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { getInstallation, InstallationParams } from "./parts.ts";

const Asked = z.strictObject({
  value: z.string().optional().meta({ description: "Left out: the stored secret stays" }),
  secret: z.boolean().default(false).meta({ description: "Stored encrypted, and never returned" }),
});
const Body = z.strictObject({ variables: z.record(z.string(), Asked) });
const Shown = z.strictObject({
  variables: z.record(
    z.string(),
    z.strictObject({
      value: z.string().optional().meta({ description: "Missing in a secret" }),
      secret: z.boolean(),
    }),
  ),
});
const answers = { 200: { description: "The variables", content: { "application/json": Shown } } };
const path = "/v1/tenants/{tenant}/installations/{id}/variables";

/** The environment variables of an installation's plugin. New containers follow within a few seconds, without a task. */
export function addInstallationVariables(
  routes: Routes,
  { store, variables }: { store: Pick<Store, "installations">; variables: PluginVariables },
): void {
  routes.add(
    {
      name: "getVariables",
      method: "get",
      path,
      tag: "installations",
      summary: "Returns the plugin's environment variables, secrets without their values.",
      access: { opens: "tenant", scope: "read" },
      params: InstallationParams,
      answers,
      faults: ["installation_not_found"],
    },
    async ({ params }) => show(await variables.list((await getInstallation(store, params)).id)),
  );
  routes.add(
    {
      name: "setVariables",
      method: "put",
      path,
      tag: "installations",
      summary: "Replaces the plugin's environment variables, and then its containers.",
      access: { opens: "tenant", scope: "installations:write" },
      params: InstallationParams,
      body: Body,
      answers,
      faults: ["installation_not_found", "conflict", "invalid_json", "unsupported_media_type"],
    },
    async ({ params, body, by }) => {
      const installation = await getInstallation(store, params);
      return show(await variables.replace({ installation, variables: body.variables, by }));
    },
  );
}

function show(variables: readonly PluginVariable[]): Response {
  const shown = variables.map((one) => [
    one.name,
    "value" in one ? { value: one.value, secret: false } : { secret: true },
  ]);
  return Response.json({ variables: Object.fromEntries(shown) });
}
