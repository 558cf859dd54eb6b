import type { Routes } from "../../route.ts";
import type { ChangeRouteDeps } from "./change.ts";
import { addDisableInstallation } from "./disable.ts";
import { addEnableInstallation } from "./enable.ts";
import { addRestartInstallation } from "./restart.ts";
import { addRollbackInstallation } from "./rollback.ts";
import { addUpdateInstallation } from "./update.ts";
import { addUpgradeInstallation } from "./upgrade.ts";

/** Every route that changes an installation. */
export function addChanges(routes: Routes, deps: ChangeRouteDeps): void {
  addUpdateInstallation(routes, deps);
  addUpgradeInstallation(routes, deps);
  addRollbackInstallation(routes, deps);
  addRestartInstallation(routes, deps);
  addEnableInstallation(routes, deps);
  addDisableInstallation(routes, deps);
}
