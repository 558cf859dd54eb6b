import { z } from "@hono/zod-openapi";
import { PROVIDER_KINDS } from "../../../domain/package.ts";
import type { InstalledProvider } from "../../../store/contracts/installed.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest, TenantParams } from "../../schemas.ts";
import { type EntitySettings, OWNER_FIELDS, ownerJson } from "../installations/entity.ts";

const Query = PageQuery.extend({ kind: z.enum(PROVIDER_KINDS).optional() });

const ProviderSchema = z
  .object({
    kind: z.enum(PROVIDER_KINDS),
    provider: z.string().meta({ description: "`author/plugin/provider`" }),
    name: z.string().meta({ description: "The provider's own name" }),
    ...OWNER_FIELDS,
    declaration: z.unknown().meta({ description: "The part of the declaration for this kind" }),
  })
  .openapi("Provider");

export function addListProviders(
  routes: Routes,
  { store, settings }: { store: Pick<Store, "installed">; settings: EntitySettings },
): void {
  routes.add(
    {
      name: "listProviders",
      method: "get",
      path: "/v1/tenants/{tenant}/providers",
      tag: "providers",
      summary: "Lists the providers of a tenant's plugins, of one kind or all, newest installation first.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      query: Query,
      answers: {
        200: {
          description: "A page; shorter than requested where its declarations would be too large",
          content: { "application/json": listOf(ProviderSchema) },
        },
      },
    },
    async ({ params: { tenant }, query }) => {
      const filter = { tenantId: tenant, ...(query.kind !== undefined && { kind: query.kind }) };
      const { declarationBytesMax } = settings;
      const page = await store.installed.providers(filter, { ...pageRequest(query), declarationBytesMax });
      return Response.json({ items: page.items.map(providerJson), next_cursor: page.nextCursor ?? null });
    },
  );
}

function providerJson(found: InstalledProvider): z.input<typeof ProviderSchema> {
  const { kind, name, declaration, installation } = found;
  return {
    kind,
    provider: `${installation.pluginId}/${name}`,
    name,
    ...ownerJson(found),
    declaration: declaration ?? null,
  };
}
