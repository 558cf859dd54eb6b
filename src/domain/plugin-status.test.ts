import { expect, it } from "vitest";
import { INSTALLATION_STATES, type InstallationState } from "./installation.ts";
import { PLUGIN_STATUSES, pluginStatus, STATUS_RULES } from "./plugin-status.ts";

it("the rule of each status selects exactly the installations that show this status", () => {
  for (const state of INSTALLATION_STATES)
    for (const poolState of [undefined, "idle", "starting", "ready", "backoff", "crash_loop"] as const) {
      const selected = PLUGIN_STATUSES.filter((status) => {
        const rule: { states: readonly InstallationState[]; isIdle?: boolean } = STATUS_RULES[status];
        const isIdle = (poolState ?? "idle") === "idle";
        return rule.states.includes(state) && (rule.isIdle ?? isIdle) === isIdle;
      });
      expect({ state, poolState, selected }).toEqual({
        state,
        poolState,
        selected: [pluginStatus(state, poolState)],
      });
    }
});
