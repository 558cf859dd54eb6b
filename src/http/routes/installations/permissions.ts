import { z } from "@hono/zod-openapi";
import type { Installation } from "../../../domain/installation.ts";
import type { DeclarationJson } from "../../../domain/package.ts";
import {
  asksFor,
  isGranted,
  PERMISSIONS,
  type PermissionDefault,
  PermissionsChosen,
} from "../../../domain/permission.ts";
import type { Invoker } from "../../../invocation/invoke.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { getInstallation, InstallationParams } from "./parts.ts";

export interface PermissionSettings {
  /** For what the operator has not decided for an installation. */
  readonly permissionDefault: PermissionDefault;
}

const Shown = z.strictObject({
  asked: z.boolean().meta({ description: "By the plugin's manifest" }),
  chosen: z.boolean().nullable().meta({ description: "By the operator; null: the default applies" }),
  granted: z.boolean().meta({ description: "Whether the plugin has it: asked for, and not refused" }),
});
export const PermissionsSchema = z.record(z.enum(PERMISSIONS), Shown).openapi("Permissions");
export const ChosenSchema = PermissionsChosen.meta({
  description: "`true` grants, `false` refuses; what is left out follows the operator's default",
});

const answers = {
  200: {
    description: "All permissions by name",
    content: { "application/json": z.strictObject({ permissions: PermissionsSchema }) },
  },
};
const path = "/v1/tenants/{tenant}/installations/{id}/permissions";

/** What a plugin may ask of its host. A change counts from its next call back on. */
export function addInstallationPermissions(
  routes: Routes,
  {
    store,
    invoker,
    settings,
  }: {
    store: Pick<Store, "installations" | "packages" | "permissions">;
    invoker: Pick<Invoker, "refresh">;
    settings: PermissionSettings;
  },
): void {
  const show = async (installation: Installation) => {
    const pkg = await store.packages.find(installation.identifier);
    return Response.json({ permissions: permissionsJson(installation, pkg?.declaration, settings) });
  };
  routes.add(
    {
      name: "getPermissions",
      method: "get",
      path,
      tag: "installations",
      summary: "Returns what the plugin may ask of its host: asked for, chosen, granted.",
      access: { opens: "tenant", scope: "read" },
      params: InstallationParams,
      answers,
      faults: ["installation_not_found"],
    },
    async ({ params }) => await show(await getInstallation(store, params)),
  );
  routes.add(
    {
      name: "setPermissions",
      method: "put",
      path,
      tag: "installations",
      summary: "Grants and refuses permissions, in place of the earlier choices.",
      access: { opens: "operator", scope: "installations:write" },
      params: InstallationParams,
      body: z.strictObject({ permissions: ChosenSchema }),
      answers,
      faults: ["installation_not_found", "conflict", "invalid_json", "unsupported_media_type"],
    },
    async ({ params, body: { permissions }, by }) => {
      const { id } = await getInstallation(store, params);
      await store.permissions.set(id, permissions, by);
      // polling would see it too, but later
      await invoker.refresh();
      return await show(await getInstallation(store, params));
    },
  );
}

export function permissionsJson(
  { permissions: chosen }: Pick<Installation, "permissions">,
  declaration: DeclarationJson = {},
  { permissionDefault }: PermissionSettings,
): z.input<typeof PermissionsSchema> {
  const shown = PERMISSIONS.map((name) => {
    const asked = asksFor(declaration, name);
    const granted = asked && isGranted(name, chosen, permissionDefault);
    return [name, { asked, chosen: chosen[name] ?? null, granted }] as const;
  });
  return Object.fromEntries(shown) as z.input<typeof PermissionsSchema>;
}
