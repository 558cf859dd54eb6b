import type { Actor } from "../../domain/audit.ts";
import type { InstallationId } from "../../domain/ids.ts";
import type { PermissionsChosen } from "../../domain/permission.ts";

/** What the operator grants to installations. It survives upgrades; an `Installation` shows it. */
export interface PermissionRows {
  /** Replaces all of it. Throws `installation_not_found`. */
  set(id: InstallationId, chosen: PermissionsChosen, by?: Actor): Promise<void>;
}
