/**
 * Read-only queries over the daemon's tables, in the platform's terms: pages by number, rows by their ids. These tables
 * contain what is published: an install that is not ready yet has no row, and during an upgrade they have the former
 * version.
 */
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { DeclarationJson, ProviderKind } from "../../domain/package.ts";

/** A row of `plugin_installations`. */
export interface PlatformInstallation {
  readonly id: InstallationId;
  readonly tenantId: TenantId;
  /** `author/name` */
  readonly pluginId: string;
  /** `author/name:version@checksum`; rows of an earlier daemon may have another form. */
  readonly identifier: string;
  /** `local`, `remote` or `serverless` */
  readonly runtimeType: string;
  readonly endpointsSetups: number;
  readonly endpointsActive: number;
  readonly source: string;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The kinds that have a table of their own. */
export type PlatformProviderKind = Exclude<ProviderKind, "endpoint">;

/** A row of `tool_installations` or of another kind's table. */
export interface PlatformProvider {
  readonly id: string;
  readonly tenantId: TenantId;
  readonly pluginId: string;
  readonly identifier: string;
  /** Its own name, without author or plugin. */
  readonly provider: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A model provider and the installation that offers it. */
export interface PlatformBinding {
  readonly provider: string;
  readonly installation: PlatformInstallation;
}

/** From 1 on. */
export interface NumberedPage {
  readonly page: number;
  readonly pageSize: number;
}

/**
 * Lists are newest first, with a fixed order of rows of the same time: pages have neither gaps nor repetitions while
 * nothing changes.
 */
export interface PlatformRows {
  findInstallation(tenantId: TenantId, pluginId: string): Promise<PlatformInstallation | undefined>;
  /** Undefined also for another tenant's, and for an id that is no UUID. */
  findInstallationById(tenantId: TenantId, id: string): Promise<PlatformInstallation | undefined>;
  listInstallations(tenantId: TenantId, page: NumberedPage): Promise<readonly PlatformInstallation[]>;
  countInstallations(tenantId: TenantId): Promise<number>;
  /** The existing ones among these. */
  installationsOf(tenantId: TenantId, pluginIds: readonly string[]): Promise<readonly PlatformInstallation[]>;
  listProviders(
    tenantId: TenantId,
    kind: PlatformProviderKind,
    page: NumberedPage,
  ): Promise<readonly PlatformProvider[]>;
  /** The plugin's first one. */
  findProvider(
    tenantId: TenantId,
    kind: PlatformProviderKind,
    pluginId: string,
  ): Promise<PlatformProvider | undefined>;
  providersOf(
    tenantId: TenantId,
    kind: PlatformProviderKind,
    pluginIds: readonly string[],
  ): Promise<readonly PlatformProvider[]>;
  /** Of plugins with a row of the kind. */
  pluginIds(tenantId: TenantId, kind: PlatformProviderKind): Promise<readonly string[]>;
  /** Newest installation first. */
  modelBindings(tenantId: TenantId): Promise<readonly PlatformBinding[]>;
  /** Whether a tenant has exactly this identifier installed. */
  isInstalledAnywhere(identifier: string): Promise<boolean>;
  /** Some of the packages whose declarations name this icon. */
  identifiersShowing(assetId: string): Promise<readonly string[]>;
  /**
   * Declarations by identifier, from `plugin_declarations`, or from `plugins` for those of a connected developer. A missing
   * one, or one that is no JSON object, is left out.
   */
  declarations(identifiers: readonly string[]): Promise<ReadonlyMap<string, DeclarationJson>>;
}
