import type { Actor } from "../../domain/audit.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { PluginFile } from "../../domain/plugin-files.ts";

/** The files of installations' plugins. They survive upgrades, and leave with the installation. */
export interface PluginFileRows {
  /** By name. */
  list(id: InstallationId): Promise<readonly PluginFile[]>;
  /** With their contents. */
  contentsOf(owner: {
    readonly tenantId: TenantId;
    readonly pluginId: string;
  }): Promise<readonly StoredPluginFile[]>;
  /**
   * Stores one, and gives the pools that serve the installation, or that it is moving to, another `filesVersion`, unless
   * other tenants share them. `allow` sees those that are stored, may throw, and holds for the change. Throws
   * `installation_not_found`.
   */
  put(change: {
    readonly id: InstallationId;
    readonly file: Omit<StoredPluginFile, "changedAt">;
    readonly allow: (stored: readonly PluginFile[]) => void;
    readonly by: Actor;
  }): Promise<PluginFile>;
  /** The same without the file; false where there is none of this name. */
  remove(change: {
    readonly id: InstallationId;
    readonly name: string;
    readonly by: Actor;
  }): Promise<boolean>;
  /** By id, secrets that another key than this one has encrypted. */
  sealedOtherwise(
    keyId: string,
    after: string | undefined,
    limit: number,
  ): Promise<readonly SealedPluginFile[]>;
  /** Replaces the content of a secret with what `change` makes of it, unless another change was faster. */
  reseal(id: string, change: (sealed: string) => string): Promise<void>;
}

export interface StoredPluginFile extends PluginFile {
  /** In base64; encrypted for a secret. */
  readonly content: string;
}

export interface SealedPluginFile {
  readonly id: string;
  readonly tenantId: TenantId;
  readonly pluginId: string;
  readonly name: string;
}
