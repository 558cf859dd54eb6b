import type { Actor } from "../../domain/audit.ts";
import type { EgressPolicy } from "../../domain/egress.ts";
import type { InstallationId } from "../../domain/ids.ts";

/** What Tenants chose for the networks of their Installations. It stays through upgrades. */
export interface EgressRows {
  /** Undefined: the operator's default. */
  find(id: InstallationId): Promise<EgressPolicy | undefined>;
  /** Undefined takes the choice back. Throws `installation_not_found`. */
  set(id: InstallationId, policy: EgressPolicy | undefined, by?: Actor): Promise<void>;
  /** All choices by the key of a Pool that is its Tenant's own, also of one that an Installation moves to. */
  list(): Promise<ReadonlyMap<string, EgressPolicy>>;
}
