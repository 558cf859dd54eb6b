import { z } from "zod";
import { INSTALLATION_STATES, REMOTE, SOURCES } from "../../../domain/installation.ts";
import { CATEGORIES } from "../../../domain/package.ts";
import { PLUGIN_STATUSES } from "../../../domain/plugin-status.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest, TenantParams } from "../../schemas.ts";
import { type EntitySettings, entityJson, InstallationListedSchema } from "./entity.ts";

const Query = PageQuery.extend({
  category: z.enum(CATEGORIES).optional(),
  state: z.enum(INSTALLATION_STATES).optional(),
  status: z.enum(PLUGIN_STATUSES).optional(),
  source: z.enum([...SOURCES, REMOTE]).optional(),
  plugin_id: z
    .string()
    .max(255)
    .regex(/^\P{Cc}*$/u, "text without control characters")
    .optional(),
  text: z
    .string()
    .min(1)
    .max(256)
    .regex(/^\P{Cc}*$/u, "text without control characters")
    .optional()
    .meta({ description: "Part of the plugin id, or of label or description in any language" }),
  declaration: z.enum(["yes", "no"]).default("yes").meta({ description: "`no`: without declarations" }),
});

export function addListInstallations(
  routes: Routes,
  { store, settings }: { store: Pick<Store, "installed">; settings: EntitySettings },
): void {
  routes.add(
    {
      name: "listInstallations",
      method: "get",
      path: "/v1/tenants/{tenant}/installations",
      tag: "installations",
      summary: "Lists a tenant's installations with state and cause, newest first.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      query: Query,
      answers: {
        200: {
          description: "A page; shorter than requested where its declarations would be too large",
          content: { "application/json": listOf(InstallationListedSchema) },
        },
      },
    },
    async ({ params: { tenant }, query }) => {
      const { category, state, status, source, plugin_id, text } = query;
      const filter = {
        tenantId: tenant,
        ...(category !== undefined && { category }),
        ...(state !== undefined && { state }),
        ...(status !== undefined && { status }),
        ...(source !== undefined && { source }),
        ...(plugin_id !== undefined && { pluginId: plugin_id }),
        ...(text !== undefined && { text }),
      };
      const declarationBytesMax = query.declaration === "yes" ? settings.declarationBytesMax : 0;
      const page = await store.installed.list(filter, { ...pageRequest(query), declarationBytesMax });
      return Response.json({
        items: page.items.map((item) => entityJson(item, settings)),
        next_cursor: page.nextCursor ?? null,
      });
    },
  );
}
