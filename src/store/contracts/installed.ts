import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { Installation, InstallationState } from "../../domain/installation.ts";
import type { Category, DeclarationJson, ProviderKind } from "../../domain/package.ts";
import type { PluginStatus } from "../../domain/plugin-status.ts";
import type { Page, PageRequest } from "./answers.ts";

/** An installation with the parts of its package and its pool that lists show. */
export interface Installed {
  readonly installation: Installation;
  readonly category: Category;
  readonly status: PluginStatus;
  /** Undefined where it was not requested. */
  readonly declaration: DeclarationJson | undefined;
}

/** All conditions must match. */
export interface InstalledFilter {
  readonly tenantId: TenantId;
  readonly category?: Category;
  readonly state?: InstallationState;
  readonly status?: PluginStatus;
  readonly source?: string;
  readonly pluginId?: string;
  /** Part of plugin id, label or description, in any language, whatever the case. */
  readonly text?: string;
}

/** The provider of one kind that an installation offers. */
export interface InstalledProvider {
  readonly kind: ProviderKind;
  /** Its own name, without author and plugin. */
  readonly name: string;
  readonly installation: Installation;
  readonly status: PluginStatus;
  /** The kind's part of the declaration. */
  readonly declaration: unknown;
}

/** Read-only lists of a tenant's installations and providers, newest first. */
export interface InstalledRows {
  /**
   * Declarations are included up to `declarationBytesMax` bytes in total: the page ends early beyond that, but has at least
   * one item. 0: without declarations.
   */
  list(
    filter: InstalledFilter,
    page: PageRequest & { readonly declarationBytesMax: number },
  ): Promise<Page<Installed>>;
  find(id: InstallationId): Promise<Installed | undefined>;
  /** Providers of installations that have been ready once and are not being removed; bounded like `list`. */
  providers(
    filter: { readonly tenantId: TenantId; readonly kind?: ProviderKind },
    page: PageRequest & { readonly declarationBytesMax: number },
  ): Promise<Page<InstalledProvider>>;
  /** Full names, `author/plugin/provider`, of the providers that `providers` lists, in alphabetical order. */
  providerNames(tenantId: TenantId, kind: ProviderKind): Promise<readonly string[]>;
}
