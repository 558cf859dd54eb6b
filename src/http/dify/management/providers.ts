/** Providers of a tenant's plugins, by kind. */

import type { PlatformProvider, PlatformProviderKind } from "../../../store/contracts/platform.ts";
import type { Store } from "../../../store/store.ts";
import type { DifyDoor } from "../door.ts";
import { refusal } from "../errors.ts";
import { MANAGEMENT, NOTHING, PageInput, ProviderInput } from "../inputs.ts";
import { list, named, needed, struct, text } from "../wire/shape.ts";
import { identifierParts, type ReadableDeclaration, readableDeclaration } from "./declaration.ts";

/** The plural's route lists, the singular's returns one; the daemon has none for a single model provider. */
const KINDS = [
  { kind: "model", plural: "models", singular: undefined },
  { kind: "tool", plural: "tools", singular: "tool" },
  { kind: "trigger", plural: "triggers", singular: "trigger" },
  { kind: "agent_strategy", plural: "agent_strategies", singular: "agent_strategy" },
  { kind: "datasource", plural: "datasources", singular: "datasource" },
] as const satisfies readonly {
  readonly kind: PlatformProviderKind;
  readonly plural: string;
  readonly singular: string | undefined;
}[];

const ExistenceInput = struct({
  provider_ids: named(
    "ProviderIDS",
    needed(list(struct({ plugin_id: needed(text), provider_name: needed(text) }))),
  ),
});

type Platform = Pick<Store, "platform">;

export function addProviders(door: DifyDoor, { store }: { readonly store: Platform }): void {
  const route = (path: string) => ({ method: "GET", path: `${MANAGEMENT}/${path}`, gate: "key" }) as const;
  door.add({ ...route("models/bindings"), input: NOTHING }, async ({ tenantId }) => {
    const bindings = await store.platform.modelBindings(tenantId);
    const stored = await store.platform.declarations(
      bindings.map(({ installation }) => installation.identifier),
    );
    return bindings.flatMap(({ provider, installation }) => {
      const { identifier } = installation;
      const parts = identifierParts(identifier);
      if (parts === undefined) return [];
      return [
        {
          provider,
          installation_id: installation.id,
          plugin_id: installation.pluginId,
          plugin_unique_identifier: identifier,
          runtime_type: installation.runtimeType,
          source: installation.source,
          version: parts.version,
          verified: stored.get(identifier)?.["verified"] === true,
        },
      ];
    });
  });
  for (const { kind, plural, singular } of KINDS) {
    door.add({ ...route(plural), input: PageInput }, async ({ input, tenantId }) => {
      const { page, page_size: pageSize } = input;
      const rows = await store.platform.listProviders(tenantId, kind, { page, pageSize });
      return await providersJson(store, kind, rows);
    });
    if (singular === undefined) continue;
    door.add({ ...route(singular), input: ProviderInput }, async ({ input, tenantId }) => {
      const row = await store.platform.findProvider(tenantId, kind, input.plugin_id);
      if (row === undefined && kind === "datasource")
        throw refusal("PluginDaemonInternalServerError", "record not found");
      if (row === undefined || row.provider !== input.provider)
        throw refusal("PluginNotFoundError", "plugin not found");
      const [shown] = await providersJson(store, kind, [row]);
      if (shown !== undefined) return shown;
      throw refusal("PluginDaemonInternalServerError", "the plugin's declaration cannot be read");
    });
  }
  door.add(
    { ...route("tools/check_existence"), method: "POST", input: ExistenceInput },
    async ({ input, tenantId }) => {
      const asked = input.provider_ids ?? [];
      const pluginIds = [...new Set(asked.map(({ plugin_id }) => plugin_id))];
      const rows = await store.platform.providersOf(tenantId, "tool", pluginIds);
      const known = new Set(rows.map(({ pluginId, provider }) => `${pluginId}\n${provider}`));
      return asked.map(({ plugin_id, provider_name }) => known.has(`${plugin_id}\n${provider_name}`));
    },
  );
}

/** Leaves out a provider whose block cannot be read: a client would refuse the whole list. */
async function providersJson(
  { platform }: Platform,
  kind: PlatformProviderKind,
  rows: readonly PlatformProvider[],
) {
  const stored = await platform.declarations(rows.map(({ identifier }) => identifier));
  return rows.flatMap((row) => {
    const parts = identifierParts(row.identifier);
    const found = stored.get(row.identifier);
    if (parts === undefined || found === undefined) return [];
    const declaration = readableDeclaration(found, parts, row.createdAt);
    const block = declaration[kind];
    return block === undefined ? [] : [providerJson(row, block, declaration, kind)];
  });
}

function providerJson(
  row: PlatformProvider,
  block: unknown,
  { meta }: ReadableDeclaration,
  kind: PlatformProviderKind,
) {
  return {
    id: row.id,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
    provider: row.provider,
    tenant_id: row.tenantId,
    plugin_unique_identifier: row.identifier,
    plugin_id: row.pluginId,
    declaration: block,
    ...(kind === "agent_strategy" && { meta }),
  };
}
