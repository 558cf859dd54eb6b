import type { InstallationId } from "./ids.ts";
import { formatNeed, type PluginNeed } from "./plugin-need.ts";

/** An Installation that needs another, with what it has now or with what is being installed. */
export interface Dependent {
  readonly installationId: InstallationId;
  readonly pluginId: string;
  /** The Package that says so. */
  readonly identifier: string;
  readonly need: PluginNeed;
}

/** As a refusal shows it. */
export function dependentJson({ installationId, pluginId, identifier, need }: Dependent) {
  return {
    ...{ installation_id: installationId, plugin_id: pluginId, identifier },
    ...{ type: need.type, value: formatNeed(need) },
  };
}
