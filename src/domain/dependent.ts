import type { InstallationId } from "./ids.ts";
import { formatNeed, type PluginNeed } from "./plugin-need.ts";

/** An installation that needs another one, by its current package or by the one that is being installed. */
export interface Dependent {
  readonly installationId: InstallationId;
  readonly pluginId: string;
  /** The package that declares the need. */
  readonly identifier: string;
  readonly need: PluginNeed;
}

/** As an error answer shows it. */
export function dependentJson({ installationId, pluginId, identifier, need }: Dependent) {
  return {
    ...{ installation_id: installationId, plugin_id: pluginId, identifier },
    ...{ type: need.type, value: formatNeed(need) },
  };
}
