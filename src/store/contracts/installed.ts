import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { Installation, InstallationState } from "../../domain/installation.ts";
import type { Category, DeclarationJson, ProviderKind } from "../../domain/package.ts";

import type { PluginStatus } from "../../domain/plugin-status.ts";
import type { Page, PageRequest } from "./answers.ts";

/** An Installation with what it shows of its Package and its Pool. */
export interface Installed {
  readonly installation: Installation;
  readonly category: Category;
  readonly status: PluginStatus;
  /** Undefined where it was not asked for. */
  readonly declaration: DeclarationJson | undefined;
}

/** All of them have to fit. */
export interface InstalledFilter {
  readonly tenantId: TenantId;
  readonly category?: Category;
  readonly state?: InstallationState;
  readonly status?: PluginStatus;
  readonly source?: string;
  readonly pluginId?: string;
  /** In plugin id, label or description, in any language and in any case. */
  readonly text?: string;
}

/** What one Installation offers of one kind. */
export interface InstalledProvider {
  readonly kind: ProviderKind;
  /** Its own, without author or plugin. */
  readonly name: string;
  readonly installation: Installation;
  readonly status: PluginStatus;
  /** The kind's part of the Declaration. */
  readonly declaration: unknown;
}

/** What a Tenant has, for those who ask. Newest first; nothing here is written. */
export interface InstalledRows {
  /**
   * With `declarationBytesMax`, Declarations too: the page ends early where they come to more than that, yet holds one
   * item at least. 0: without Declarations.
   */
  list(
    filter: InstalledFilter,
    page: PageRequest & { readonly declarationBytesMax: number },
  ): Promise<Page<Installed>>;
  find(id: InstallationId): Promise<Installed | undefined>;
  /** Of Installations that have been ready once and are not being removed; bounded like `list`. */
  providers(
    filter: { readonly tenantId: TenantId; readonly kind?: ProviderKind },
    page: PageRequest & { readonly declarationBytesMax: number },
  ): Promise<Page<InstalledProvider>>;
  /** Full names, `author/plugin/provider`, of what `providers` finds, in order of the alphabet. */
  providerNames(tenantId: TenantId, kind: ProviderKind): Promise<readonly string[]>;
}
