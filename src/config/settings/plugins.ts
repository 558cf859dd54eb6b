/** Isolation, limits and replicas of plugins. */
import { PERMISSION_DEFAULTS } from "../../domain/permission.ts";
import { decimal, oneOf, pluginVariants, type Setting, text, timeZone, whole } from "../kinds.ts";

export const PLUGINS = {
  BERTH_ISOLATION: oneOf(
    ["tenant", "shared"],
    "tenant",
    "`tenant`: each tenant has its own containers of a plugin; `shared`: all tenants share them",
  ),
  BERTH_SHARED_PLUGINS: text(
    "",
    "Plugins (`author/name`, comma-separated) whose containers are shared between tenants, even with `BERTH_ISOLATION=tenant`",
  ),
  BERTH_PLUGIN_PERMISSIONS: oneOf(
    PERMISSION_DEFAULTS,
    "grant",
    "What plugins may ask of their host where you have not decided for an installation: `grant` what the manifest asks for, or `refuse` it",
  ),
  BERTH_WRITABLE_PLUGINS: text(
    "",
    "Plugins (`author/name`, comma-separated; `*`: all) that may write beside their code: they run on a copy of their files in `/tmp`",
  ),
  BERTH_PLUGIN_IMAGES: pluginVariants(
    "Plugins that are built on a variant of the runtime image ([runtime-images.md](../runtime-images.md)): `author/name=variant`, comma-separated; `*=variant`: all others",
  ),
  BERTH_PLUGIN_MEMORY_MB_FLOOR: whole(
    16,
    1_048_576,
    "256",
    "Default memory of a plugin (MiB), and the least that a package of the real dialect gets; a package of the seed dialect gets what it declares, even if that is less",
  ),
  BERTH_PLUGIN_MEMORY_MB_MAX: whole(16, 1_048_576, "2048", "Maximum memory of a plugin (MiB)"),
  BERTH_PLUGIN_STORAGE_MB: whole(
    1,
    1_048_576,
    "100",
    "Size of `/tmp` if the manifest does not specify it (MiB)",
  ),
  BERTH_PLUGIN_STORAGE_MB_MAX: whole(1, 1_048_576, "1024", "Maximum size of `/tmp` of a plugin (MiB)"),
  BERTH_PLUGIN_STORE_MB_MAX: whole(
    1,
    1_048_576,
    "100",
    "Maximum amount of data that one plugin may store for one tenant (MiB)",
  ),
  BERTH_PLUGIN_CPUS: decimal(0.05, 1024, "1", "CPUs of a plugin"),
  BERTH_PLUGINS_CPU_WEIGHT_PERCENT: whole(
    0,
    10_000,
    "0",
    "CPU weight of all plugins together on a busy host, in percent of an ordinary service; 0 is a fair share",
  ),
  BERTH_PLUGIN_PIDS_MAX: whole(16, 100_000, "256", "Maximum number of processes and threads of a plugin"),
  BERTH_PLUGIN_CALLS_MAX: whole(
    1,
    10_000,
    "1000",
    "Calls in flight per installation: the default and the maximum",
  ),
  BERTH_PLUGIN_SECONDS_MAX: decimal(0.1, 86_400, "600", "Time of one call: the default and the maximum"),
  BERTH_PLUGIN_FRAME_MB_MAX: whole(
    1,
    256,
    "16",
    "Maximum size of one message from a plugin, and of the body of a call (MiB)",
  ),
  BERTH_PLUGIN_TIME_ZONE: timeZone(
    "`TZ` of plugins; not set: the time zone of the machine or container that Berth runs in",
  ),
  BERTH_PLUGIN_REPLICAS_MAX: whole(1, 64, "4", "Maximum number of containers of a plugin"),
  BERTH_SHARED_REPLICAS_MIN: whole(1, 64, "1", "Minimum number of containers of a plugin that tenants share"),
  BERTH_SHARED_REPLICAS_MAX: whole(1, 64, "1", "Maximum number of containers of a plugin that tenants share"),
  BERTH_REPLICA_BUSY_CALLS: whole(
    1,
    10_000,
    "1",
    "Number of open calls from which a container counts as busy",
  ),
  BERTH_REPLICA_BUSY_SECONDS: decimal(
    0.1,
    3600,
    "5",
    "A plugin gets another container after all its containers were busy for this time",
  ),
  BERTH_REPLICA_QUIET_SECONDS: decimal(
    0.1,
    604_800,
    "300",
    "A plugin loses a container after this time in which its calls would not have kept one container fewer busy",
  ),
} as const satisfies Record<string, Setting<unknown>>;
