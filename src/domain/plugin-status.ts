import type { InstallationState } from "./installation.ts";
import type { Pool } from "./runtime.ts";

/** The platform's words for the state of an installation. */
export const PLUGIN_STATUSES = ["installing", "installed", "running", "stopped", "error"] as const;
export type PluginStatus = (typeof PLUGIN_STATUSES)[number];

/** The states behind each word. A ready installation with an idle pool is started by the next call. */
export const STATUS_RULES = {
  installing: { states: ["installing"] },
  installed: { states: ["ready"], isIdle: true },
  running: { states: ["ready"], isIdle: false },
  stopped: { states: ["disabled", "removing"] },
  error: { states: ["failed", "crash_loop"] },
} as const satisfies Record<
  PluginStatus,
  { readonly states: readonly InstallationState[]; readonly isIdle?: boolean }
>;

/** `poolState` is undefined for an installation without a pool, which counts as idle. */
export function pluginStatus(state: InstallationState, poolState: Pool["state"] | undefined): PluginStatus {
  switch (state) {
    case "installing":
      return "installing";
    case "ready":
      return (poolState ?? "idle") === "idle" ? "installed" : "running";
    case "disabled":
    case "removing":
      return "stopped";
    case "failed":
    case "crash_loop":
      return "error";
    default:
      return state satisfies never;
  }
}
