import { Fault } from "../domain/fault.ts";
import { PluginId, type TenantId } from "../domain/ids.ts";
import type { Installed } from "../store/contracts/installed.ts";
import type { Store } from "../store/store.ts";

const FORM = "organisation/plugin/provider";

/** Number of names that a refusal lists at most. */
const NAMES_MAX = 50;

/**
 * The tools of a provider of a tenant's plugin, by the provider's full name. Throws `invalid_input` for any other form,
 * with the full names that it may mean; `installation_not_found`; `plugin_not_ready` before the first start;
 * `provider_not_found`.
 */
export async function findTools(
  { store }: { readonly store: Pick<Store, "installations" | "installed"> },
  tenantId: TenantId,
  provider: string,
): Promise<Installed & { readonly tools: readonly unknown[] }> {
  const [organisation, plugin, name, ...rest] = provider.split("/");
  const pluginId = PluginId.safeParse(`${organisation}/${plugin}`);
  if (!name || rest.length > 0 || !pluginId.success)
    throw notThreeParts(provider, await store.installed.providerNames(tenantId, "tool"));
  const installation = await store.installations.findByPlugin(tenantId, pluginId.data);
  const installed = installation && (await store.installed.find(installation.id));
  if (installed === undefined) throw notInstalled(provider, pluginId.data);
  if (installed.installation.generation === 0) throw notReady(installed);
  const offered = installed.declaration?.["tool"];
  const found = nameOf(offered);
  if (found !== name) throw notOffered(provider, pluginId.data, found);
  return { ...installed, tools: listOf(offered) };
}

/** Shows each full name that contains the given part, which may be the plugin's name, the provider's, or both. */
function notThreeParts(value: string, names: readonly string[]): Fault {
  const meant = value === "" ? [] : names.filter((name) => `/${name}/`.includes(`/${value}/`));
  const shown = meant.slice(0, NAMES_MAX);
  const accepted = shown.length === 0 ? FORM : shown;
  const like = shown.length === 0 ? "" : `, here ${shown.join(", ")}`;
  return new Fault("invalid_input", `provider is ${JSON.stringify(value)}; accepted: ${FORM}${like}.`, {
    details: { field: "provider", value, accepted, form: FORM },
  });
}

function notInstalled(value: string, pluginId: string): Fault {
  return new Fault("installation_not_found", `The tenant has no plugin ${pluginId}.`, {
    details: { field: "provider", value, accepted: `${FORM} of an installed plugin` },
  });
}

function notReady({ installation: { pluginId, state, cause } }: Installed): Fault {
  return new Fault("plugin_not_ready", `${pluginId} is ${state}, and was never ready.`, {
    details: { state, ...(cause !== undefined && { cause }) },
  });
}

function notOffered(value: string, pluginId: string, name: string | undefined): Fault {
  const accepted = name === undefined ? [] : [`${pluginId}/${name}`];
  const what =
    name === undefined ? `${pluginId} offers no tools` : `${pluginId} has the tool provider ${accepted[0]}`;
  return new Fault("provider_not_found", `There is no tool provider ${value}; ${what}.`, {
    details: { field: "provider", value, accepted },
  });
}

function nameOf(offered: unknown): string | undefined {
  const name = field(field(offered, "identity"), "name");
  return typeof name === "string" ? name : undefined;
}

function listOf(offered: unknown): readonly unknown[] {
  const tools = field(offered, "tools");
  return Array.isArray(tools) ? tools : [];
}

function field(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}
