/** An Installation as it is shown: our own words for it, and beside them the platform's. */
import { z } from "@hono/zod-openapi";
import type { Installation } from "../../../domain/installation.ts";
import { CATEGORIES } from "../../../domain/package.ts";
import { PLUGIN_STATUSES } from "../../../domain/plugin-status.ts";
import type { Installed } from "../../../store/contracts/installed.ts";
import { InstallationSchema, installationJson, TaskSchema } from "../../schemas.ts";

export interface EntitySettings {
  /** Where callers reach Berth, without a slash at its end; undefined: nobody has said so. */
  readonly publicUrl: string | undefined;
  /** Declarations on one page at most, but one. */
  readonly declarationBytesMax: number;
}

/** What says which Package an Installation has and how it does, wherever it is named. */
export const OWNER_FIELDS = {
  plugin_id: z.string(),
  plugin_unique_identifier: z.string().meta({ description: "`author/name:version@checksum`" }),
  installation_id: z.string(),
  state: InstallationSchema.shape.state,
  status: z.enum(PLUGIN_STATUSES).meta({
    description:
      "The state in the platform's words: `installed` is ready and stopped until the next call, `running` is ready",
  }),
};

const EntitySchema = InstallationSchema.extend({
  ...OWNER_FIELDS,
  category: z.enum(CATEGORIES),
  meta: z.record(z.string(), z.unknown()).meta({ description: "From where in the source" }),
  declaration: z
    .record(z.string(), z.unknown())
    .nullable()
    .meta({ description: "Null where it was not asked for" }),
  endpoint: z.string().meta({
    description:
      "Where it is invoked: `/{type}/{action}` follows. A URL where `BERTH_PUBLIC_URL` is set, else a path",
  }),
});

export const InstallationListedSchema = EntitySchema.openapi("InstallationListed");
export const InstallationDetailSchema = EntitySchema.extend({
  last_task: TaskSchema.nullable(),
  needs: z
    .array(z.object({ installation_id: z.string(), type: z.string(), value: z.string() }))
    .meta({ description: "Installations that it needs, and how its package says so" }),
  needed_by: z.array(
    z.object({
      ...{ installation_id: z.string(), plugin_id: z.string(), identifier: z.string() },
      ...{ type: z.string(), value: z.string() },
    }),
  ),
}).openapi("InstallationDetail");

export function entityJson(
  { installation, category, status, declaration }: Installed,
  { publicUrl = "" }: EntitySettings,
): z.input<typeof EntitySchema> {
  const { tenantId, pluginId } = installation;
  return {
    ...installationJson(installation),
    ...ownerJson({ installation, status }),
    category,
    meta: { ...installation.meta },
    declaration: declaration === undefined ? null : { ...declaration },
    endpoint: `${publicUrl}/v1/tenants/${tenantId}/plugins/${pluginId}/invoke`,
  };
}

export function ownerJson({
  installation,
  status,
}: {
  readonly installation: Installation;
  readonly status: Installed["status"];
}) {
  const { pluginId, identifier, id, state } = installation;
  return {
    ...{ plugin_id: pluginId, plugin_unique_identifier: identifier, installation_id: id },
    ...{ state, status },
  };
}
