/** Budgets of the host and of each tenant. */
import { quota, type Setting } from "../kinds.ts";

export const QUOTAS = {
  BERTH_HOST_MEMORY_MB: quota(
    "Memory that all running plugins together may reserve (MiB). 0: no limit; unset: the machine's memory minus 1 GiB, or minus a quarter if that is less",
  ),
  BERTH_TENANT_INSTALLATIONS_MAX: quota(
    "Maximum number of installations of a tenant that has no quota of its own; unset: no limit",
  ),
  BERTH_TENANT_MEMORY_MB_MAX: quota(
    "Maximum memory that the running plugins of such a tenant reserve together (MiB); unset: no limit",
  ),
  BERTH_TENANT_DISK_MB_MAX: quota(
    "Maximum amount of data of such a tenant: what its plugins store, and the packages that it uploads (MiB); unset: no limit",
  ),
  BERTH_TENANT_CALLS_MAX: quota(
    "Maximum number of concurrent calls to all plugins of such a tenant; unset: no limit",
  ),
} as const satisfies Record<string, Setting<unknown>>;
