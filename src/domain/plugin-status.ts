import type { InstallationState } from "./installation.ts";
import type { Pool } from "./runtime.ts";

/** How the platform says what an Installation is doing, in fewer words than ours. */
export const PLUGIN_STATUSES = ["installing", "installed", "running", "stopped", "error"] as const;
export type PluginStatus = (typeof PLUGIN_STATUSES)[number];

/** The states behind each word. A ready one whose Pool is idle was stopped for want of calls: the next call starts it. */
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

/** `poolState` is undefined for an Installation without a Pool, which runs as little as an idle one. */
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
