import { z } from "zod";
import { assertWithin, EGRESS_MODES, type EgressPolicy, withinCeiling } from "../../../domain/egress.ts";
import { Fault } from "../../../domain/fault.ts";
import type { InstallationId } from "../../../domain/ids.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { getInstallation, InstallationParams } from "./parts.ts";

const Destinations = z.array(z.string());
const Choice = z.strictObject({
  mode: z.enum([...EGRESS_MODES, "default"]).meta({ description: "`default`: the operator's setting" }),
  allow: Destinations.default([]).meta({ description: "With `list`: `host:port`, addresses and networks" }),
});
const Shown = Choice.extend({
  effective: z
    .strictObject({ mode: z.enum(EGRESS_MODES), allow: Destinations })
    .meta({ description: "What applies, within the operator's settings" }),
});
const answers = { 200: { description: "The egress policy", content: { "application/json": Shown } } };
const path = "/v1/tenants/{tenant}/installations/{id}/egress";

/** What an installation's plugin may reach. The containers follow within a few seconds, without a task. */
export function addInstallationEgress(
  routes: Routes,
  {
    store,
    egressCeiling,
  }: { store: Pick<Store, "installations" | "pools" | "egress">; egressCeiling: EgressPolicy },
): void {
  const show = async (id: InstallationId) => {
    const chosen = await store.egress.find(id);
    const effective = withinCeiling(chosen, egressCeiling);
    return Response.json({ ...(chosen ?? { mode: "default", allow: [] }), effective });
  };
  routes.add(
    {
      name: "getEgress",
      method: "get",
      path,
      tag: "installations",
      summary: "Returns what the plugin may reach.",
      access: { opens: "tenant", scope: "read" },
      params: InstallationParams,
      answers,
      faults: ["installation_not_found"],
    },
    async ({ params }) => await show((await getInstallation(store, params)).id),
  );
  routes.add(
    {
      name: "setEgress",
      method: "put",
      path,
      tag: "installations",
      summary: "Sets what the plugin may reach.",
      access: { opens: "tenant", scope: "installations:write" },
      params: InstallationParams,
      body: Choice,
      answers,
      faults: ["installation_not_found", "conflict", "invalid_json", "unsupported_media_type"],
    },
    async ({ params, body: { mode, allow }, by }) => {
      const { id, poolKey } = await getInstallation(store, params);
      const pool = poolKey === undefined ? undefined : await store.pools.find(poolKey);
      if (pool !== undefined && pool.tenantId === undefined)
        throw new Fault(
          "conflict",
          "The plugin runs in a shared pool; only the operator's settings define its network.",
        );
      const policy = mode === "default" ? undefined : { mode, allow };
      if (policy !== undefined) assertWithin(policy, egressCeiling);
      await store.egress.set(id, policy, by);
      return await show(id);
    },
  );
}
