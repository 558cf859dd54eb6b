import type { Actor } from "../../domain/audit.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { PluginVariable } from "../../domain/variables.ts";

/** The variables of installations' plugins. They survive upgrades, and leave with the installation. */
export interface VariableRows {
  /** Throws `installation_not_found`. */
  get(id: InstallationId): Promise<readonly PluginVariable[]>;
  /**
   * Replaces all of them, also in the pools that serve the installation and in one that it is moving to, unless other
   * tenants share it. Answers false, and changes nothing, where they are not `expected` any more. Without `by` nobody
   * changes anything but the encryption, and no event is written.
   */
  replace(change: {
    readonly id: InstallationId;
    readonly variables: readonly PluginVariable[];
    readonly expected: readonly PluginVariable[];
    readonly by?: Actor;
  }): Promise<boolean>;
  /** By id, those with a secret that another key than this one has encrypted. */
  sealedOtherwise(
    keyId: string,
    after: InstallationId | undefined,
    limit: number,
  ): Promise<readonly SealedVariables[]>;
}

export interface SealedVariables {
  readonly id: InstallationId;
  readonly tenantId: TenantId;
  readonly pluginId: string;
  readonly variables: readonly PluginVariable[];
}
