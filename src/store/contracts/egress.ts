import type { Actor } from "../../domain/audit.ts";
import type { EgressPolicy } from "../../domain/egress.ts";
import type { InstallationId } from "../../domain/ids.ts";

/** Tenants' egress rules for their installations. They survive upgrades. */
export interface EgressRows {
  /** Undefined: the operator's default. */
  find(id: InstallationId): Promise<EgressPolicy | undefined>;
  /** Undefined removes the choice. Throws `installation_not_found`. */
  set(id: InstallationId, policy: EgressPolicy | undefined, by?: Actor): Promise<void>;
  /** All choices by the key of a pool of one tenant, also of a pool that an installation is moving to. */
  list(): Promise<ReadonlyMap<string, EgressPolicy>>;
}
