/**
 * Questions over the daemon's own tables, in the platform's terms: pages by number, rows by their ids. What stands in
 * these tables is published: an install that is not ready yet has no row, and an upgrade under way shows what was there
 * before. Nothing here is written.
 */
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { DeclarationJson, ProviderKind } from "../../domain/package.ts";

/** A row of `plugin_installations`. */
export interface PlatformInstallation {
  readonly id: InstallationId;
  readonly tenantId: TenantId;
  /** `author/name` */
  readonly pluginId: string;
  /** `author/name:version@checksum`; what an earlier daemon wrote may break that rule. */
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

/** A row of `tool_installations` or of one of its sisters. */
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

/** A model provider and the Installation that offers it. */
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
 * Lists are newest first, and rows of one moment have an order too: pages have neither gaps nor repetitions while
 * nothing changes.
 */
export interface PlatformRows {
  findInstallation(tenantId: TenantId, pluginId: string): Promise<PlatformInstallation | undefined>;
  /** Another Tenant's is as if it did not exist, and so is what is no UUID. */
  findInstallationById(tenantId: TenantId, id: string): Promise<PlatformInstallation | undefined>;
  listInstallations(tenantId: TenantId, page: NumberedPage): Promise<readonly PlatformInstallation[]>;
  countInstallations(tenantId: TenantId): Promise<number>;
  /** Those that there are. */
  installationsOf(tenantId: TenantId, pluginIds: readonly string[]): Promise<readonly PlatformInstallation[]>;
  listProviders(
    tenantId: TenantId,
    kind: PlatformProviderKind,
    page: NumberedPage,
  ): Promise<readonly PlatformProvider[]>;
  /** The first that the plugin has. */
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
  /** Newest Installation first. */
  modelBindings(tenantId: TenantId): Promise<readonly PlatformBinding[]>;
  /** Whether a Tenant has exactly this. */
  isInstalledAnywhere(identifier: string): Promise<boolean>;
  /** Some of the packages whose Declarations name this icon. */
  identifiersShowing(assetId: string): Promise<readonly string[]>;
  /**
   * By identifier, as `plugin_declarations` has them, or `plugins` for those of a connected developer. One that is not
   * there, or is no JSON object, is missing.
   */
  declarations(identifiers: readonly string[]): Promise<ReadonlyMap<string, DeclarationJson>>;
}
