import type { Actor } from "../../domain/audit.ts";
import type { InstallationId, RuntimeId, TenantId } from "../../domain/ids.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Package } from "../../domain/package.ts";
import type { RuntimeEnd } from "../../domain/runtime.ts";

/** A debugging key, as it is stored. */
export interface StoredDebuggingKey {
  /** SHA-256 in hex. */
  readonly hash: string;
  /** The key itself, encrypted. */
  readonly sealed: string;
  readonly expiresAt: Date;
}

export interface DebugConnect {
  readonly tenantId: TenantId;
  /** What the plugin has declared. */
  readonly pkg: Package;
  readonly limits: Limits;
  readonly runtimeId: RuntimeId;
  readonly poolKey: string;
  /** The process that has the connection. */
  readonly processId: string;
}

export interface DebugConnected {
  readonly installationId: InstallationId;
  /** The connection whose place this one has taken, of whichever process. */
  readonly replaced: DebugDisconnected | undefined;
}

export interface DebugDisconnected {
  readonly runtimeId: RuntimeId;
  readonly poolKey: string;
  readonly installationId: InstallationId;
  /** Its package has no row any more. */
  readonly unused: string | undefined;
}

/** Keys with which plugins' authors connect, and the plugins that are connected. */
export interface DebugRows {
  /**
   * The tenant's key, valid for `lifeMs` from now on. Where it has none, or only one that has expired or that `isUsable`
   * refuses, `made` becomes its key. Throws `conflict` while the tenant is being removed.
   */
  issueKey(
    tenantId: TenantId,
    key: {
      readonly made: Pick<StoredDebuggingKey, "hash" | "sealed">;
      readonly isUsable: (sealed: string) => boolean;
      readonly lifeMs: number;
      readonly by?: Actor;
    },
  ): Promise<StoredDebuggingKey>;
  /** The tenant of a key that has not expired; the key is valid for `lifeMs` from now on. */
  useKey(hash: string, lifeMs: number): Promise<TenantId | undefined>;
  /**
   * Writes a connected plugin: package, installation with the platform's rows, runtime, connection. An earlier connection
   * of the same plugin loses its rows. Throws `conflict` where the tenant has the plugin installed from a package, and
   * while the tenant is being removed; `quota_exceeded`.
   */
  connect(request: DebugConnect): Promise<DebugConnected>;
  /** Removes what `connect` wrote; the endpoints stay. Undefined where that is done already. */
  disconnect(runtimeId: RuntimeId, end: RuntimeEnd): Promise<DebugDisconnected | undefined>;
  /** The process's connections; one that is not installed any more has been uninstalled. */
  listOfProcess(
    processId: string,
  ): Promise<readonly { readonly runtimeId: RuntimeId; readonly isInstalled: boolean }[]>;
  /** Connections whose process is dead. */
  listAbandoned(): Promise<readonly RuntimeId[]>;
}
