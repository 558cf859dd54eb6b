/** The JSON form of an installation, with Berth's names and the platform's. */
import { z } from "@hono/zod-openapi";
import type { Installation } from "../../../domain/installation.ts";
import { CATEGORIES } from "../../../domain/package.ts";
import { PLUGIN_STATUSES } from "../../../domain/plugin-status.ts";
import type { Installed } from "../../../store/contracts/installed.ts";
import { InstallationSchema, installationJson, TaskSchema } from "../../schemas.ts";
import { PermissionsSchema } from "./permissions.ts";

export interface EntitySettings {
  /** Berth's public URL without a trailing slash; undefined where it is not set. */
  readonly publicUrl: string | undefined;
  /** Bytes of declarations on one page at most; one declaration is always included. */
  readonly declarationBytesMax: number;
}

/** Members that identify an installation's package and its state, wherever an installation is named. */
export const OWNER_FIELDS = {
  plugin_id: z.string(),
  plugin_unique_identifier: z.string().meta({ description: "`author/name:version@checksum`" }),
  installation_id: z.string(),
  state: InstallationSchema.shape.state,
  status: z.enum(PLUGIN_STATUSES).meta({
    description:
      "The state in the platform's words: `running` is ready, `installed` is ready but stopped until the next call",
  }),
};

const EntitySchema = InstallationSchema.extend({
  ...OWNER_FIELDS,
  category: z.enum(CATEGORIES),
  meta: z
    .record(z.string(), z.unknown())
    .meta({ description: "Where in the source: identifier, repository and release, or URL" }),
  declaration: z
    .record(z.string(), z.unknown())
    .nullable()
    .meta({ description: "Null where it was not requested" }),
  endpoint: z.string().meta({
    description:
      "Where to invoke it, followed by `/{type}/{action}`. A URL where `BERTH_PUBLIC_URL` is set, else a path",
  }),
});

export const InstallationListedSchema = EntitySchema.openapi("InstallationListed");
export const InstallationDetailSchema = EntitySchema.extend({
  permissions: PermissionsSchema,
  last_task: TaskSchema.nullable(),
  needs: z
    .array(z.object({ installation_id: z.string(), type: z.string(), value: z.string() }))
    .meta({ description: "Installations that it needs, with the need as its package declares it" }),
  needed_by: z.array(
    z.object({
      installation_id: z.string(),
      plugin_id: z.string(),
      identifier: z.string(),
      type: z.string(),
      value: z.string(),
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
  return { plugin_id: pluginId, plugin_unique_identifier: identifier, installation_id: id, state, status };
}
