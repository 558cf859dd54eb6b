/** Endpoints as the platform manages them. */
import { EndpointId } from "../../domain/endpoint.ts";
import type { Endpoints, ShownEndpoint } from "../../endpoint/endpoints.ts";
import type { InstallationRows } from "../../store/contracts/installations.ts";
import type { DifyDoor, DifyInput } from "./door.ts";
import {
  as,
  because,
  NO_ENDPOINTS,
  NO_PERMISSION,
  secretFailures,
  type Telling,
  telling,
  wrongInput,
} from "./endpoint-failures.ts";
import { notUuid, refusal } from "./errors.ts";
import { isIdentifier } from "./inputs.ts";
import { field, map, max, needed, struct, text, whole } from "./wire/shape.ts";

const SetupInput = struct({
  plugin_unique_identifier: needed(text, isIdentifier),
  user_id: needed(text),
  settings: field(map),
  name: needed(text),
});
const UpdateInput = struct({
  endpoint_id: needed(text),
  user_id: needed(text),
  settings: field(map),
  name: needed(text),
});
const OneInput = struct({ endpoint_id: needed(text) });
const PageInput = struct({ page: needed(whole), page_size: needed(whole, max(100)) });
const PluginPageInput = struct({
  plugin_id: needed(text),
  page: needed(whole),
  page_size: needed(whole, max(100)),
});

/** The daemon never looks at it. */
const EXPIRED_AT = "2050-01-01T00:00:00Z";
const NO_ROW = "record not found";

interface Deps {
  readonly endpoints: Endpoints;
  readonly store: { readonly installations: Pick<InstallationRows, "findByPlugin"> };
}

export function addEndpoints(door: DifyDoor, deps: Deps): void {
  addChanges(door, deps);
  addLists(door, deps);
}

function addChanges(door: DifyDoor, { endpoints }: Deps): void {
  const route = (path: string) =>
    ({ method: "POST", path: `/plugin/:tenant_id/endpoint/${path}`, gate: "key" }) as const;
  door.add({ ...route("setup"), input: SetupInput }, async ({ input, tenantId, by, signal }) => {
    const { plugin_unique_identifier: plugin, user_id: userId, name, settings } = input;
    const wanted = { tenantId, plugin, userId, name, settings: settings ?? {}, by };
    await endpoints.create(wanted, signal).catch(telling(SETUP_FAILURES));
    return true;
  });
  door.add({ ...route("update"), input: UpdateInput }, async ({ input, tenantId, by, signal }) => {
    const { user_id: userId, name, settings } = input;
    const id = idOf(input, "PluginDaemonNotFoundError", "failed to find endpoint");
    const wanted = { tenantId, id, userId, name, settings: settings ?? {}, by };
    await endpoints.update(wanted, signal).catch(telling(UPDATE_FAILURES));
    return true;
  });
  door.add({ ...route("remove"), input: OneInput }, async ({ input, tenantId, by }) => {
    const id = idOf(input, "PluginDaemonInternalServerError", "failed to remove endpoint");
    await endpoints.remove({ tenantId, id, by }).catch(telling(REMOVE_FAILURES));
    return true;
  });
  for (const [work, enabled] of [
    ["enable", true],
    ["disable", false],
  ] as const)
    door.add(
      { ...route(work), input: OneInput },
      async ({ input, tenantId, by }: DifyInput<{ endpoint_id: string }>) => {
        const id = idOf(input, "PluginDaemonInternalServerError", `failed to ${work} endpoint`);
        await endpoints.setEnabled({ tenantId, id, enabled, by }).catch(telling(STATE_FAILURES));
        return true;
      },
    );
}

function addLists(door: DifyDoor, { endpoints, store }: Deps): void {
  const route = (path: string) =>
    ({ method: "GET", path: `/plugin/:tenant_id/endpoint/${path}`, gate: "key" }) as const;
  door.add({ ...route("list"), input: PageInput }, async ({ input, tenantId, signal }) => {
    const page = { number: input.page, size: input.page_size };
    const shown = await endpoints
      .listPage({ tenantId }, page, signal)
      .catch(telling(secretFailures("decrypt")));
    return shown.map(endpointJson);
  });
  door.add({ ...route("list/plugin"), input: PluginPageInput }, async ({ input, tenantId, signal }) => {
    const page = { number: input.page, size: input.page_size };
    const shown = await endpoints
      .listPage({ tenantId, pluginId: input.plugin_id }, page, signal)
      .catch(telling(secretFailures("decrypt")));
    // an empty list says nothing of the plugin: as it always was
    const isOwnerless = shown.length > 0 && shown.every(({ offer }) => offer === undefined);
    if (isOwnerless && (await store.installations.findByPlugin(tenantId, input.plugin_id)) === undefined)
      throw refusal("PluginDaemonNotFoundError", `failed to find plugin installation: ${NO_ROW}`);
    return shown.map(endpointJson);
  });
}

const SETUP_FAILURES: Telling = {
  installation_not_found: as("PluginNotFoundError", "plugin not found"),
  permission_denied: NO_PERMISSION,
  operation_not_found: NO_ENDPOINTS,
  invalid_input: wrongInput("setup"),
  ...secretFailures("encrypt"),
  conflict: because("PluginDaemonInternalServerError", "failed to setup endpoint"),
};
const UPDATE_FAILURES: Telling = {
  endpoint_not_found: as("PluginDaemonNotFoundError", `failed to find endpoint: ${NO_ROW}`),
  installation_not_found: as("PluginDaemonNotFoundError", `failed to find plugin installation: ${NO_ROW}`),
  operation_not_found: NO_ENDPOINTS,
  invalid_input: wrongInput("update"),
  ...secretFailures("encrypt"),
  conflict: because("PluginDaemonInternalServerError", "failed to update endpoint"),
};
const REMOVE_FAILURES: Telling = {
  endpoint_not_found: as("PluginDaemonInternalServerError", `failed to remove endpoint: ${NO_ROW}`),
};
const STATE_FAILURES: Telling = {
  endpoint_not_found: as("PluginDaemonNotFoundError", "endpoint not found"),
};

function idOf(
  { endpoint_id: given }: { readonly endpoint_id: string },
  type: Parameters<typeof refusal>[0],
  doing: string,
): EndpointId {
  const parsed = EndpointId.safeParse(given);
  if (parsed.success) return parsed.data;
  throw refusal(type, `${doing}: ${notUuid(given)}`);
}

function endpointJson({ record, settings, offer }: ShownEndpoint) {
  return {
    id: record.id,
    created_at: record.createdAt.toISOString(),
    updated_at: record.updatedAt.toISOString(),
    name: record.name,
    hook_id: record.hookId,
    tenant_id: record.tenantId,
    user_id: record.userId,
    plugin_id: record.pluginId,
    expired_at: EXPIRED_AT,
    enabled: record.enabled,
    settings,
    declaration: { settings: offer?.settings ?? [], endpoints: offer?.endpoints ?? [] },
  };
}
