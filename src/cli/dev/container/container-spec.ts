import type { ContainerSpec } from "../../../domain/container.ts";
import type { RuntimeId } from "../../../domain/ids.ts";
import { grantLimits, type LimitsPolicy } from "../../../domain/limits.ts";
import { formatLabels } from "../../../engine/labels.ts";
import { PLUGIN_PATH } from "../../../installation/images/build/layers.ts";
import { VENV_PATH } from "../../../installation/images/build/uv-script.ts";
import { containerSpec } from "../../../runtime/launch/profile.ts";
import type { ProfileSettings } from "../../../runtime/settings.ts";
import type { PluginFolder } from "../plugin-folder.ts";

/** What one container is made of. Folders are paths of the host. */
export interface DevContainer {
  readonly plugin: PluginFolder;
  readonly runtimeId: RuntimeId;
  /** Id of the runtime image. */
  readonly image: string;
  readonly pluginFolder: string;
  readonly environmentFolder: string;
  /** The container's own: programs and sockets. */
  readonly folder: string;
}

export interface DevSpecDeps {
  readonly instanceId: string;
  readonly profile: ProfileSettings;
  readonly limits: LimitsPolicy;
}

/** The container of an installed plugin, but with the plugin's folder and its environment mounted, read-only. */
export function devContainerSpec(
  { plugin, runtimeId, image, pluginFolder, environmentFolder, folder }: DevContainer,
  { instanceId, profile, limits }: DevSpecDeps,
): ContainerSpec {
  const { memoryBytes } = plugin;
  const asked = { memoryIsHard: false, ...(memoryBytes === undefined ? {} : { memoryBytes }) };
  const spec = containerSpec(
    {
      key: "dev",
      tenantId: undefined,
      pluginId: plugin.pluginId,
      imageKey: "dev",
      imageRef: image,
      runner: { entrypoint: plugin.entrypoint },
      limits: grantLimits(asked, limits).limits,
      // Pools begin at 1: no installed plugin has this user.
      uidOffset: 0,
      variables: [],
    },
    { identity: { instanceId, runtimeId, slot: 0, generation: 1, folder }, settings: profile },
  );
  return {
    ...spec,
    name: `berth-${instanceId}-dev-${runtimeId}`,
    labels: formatLabels({ instance: instanceId, kind: "dev" }),
    command: ["/usr/local/bin/python3", "-I", "-S", "-B", "/run/berth/dev_container.py", plugin.entrypoint],
    mounts: [
      ...spec.mounts,
      { hostPath: pluginFolder, path: PLUGIN_PATH, readOnly: true },
      { hostPath: environmentFolder, path: VENV_PATH, readOnly: true },
    ],
  };
}
