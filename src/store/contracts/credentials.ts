/** Credentials that tenants keep for their plugins' providers. They survive upgrades, and leave with the installation. */
import type { Actor } from "../../domain/audit.ts";
import type { CredentialId, CredentialKind, CredentialModel } from "../../domain/credential.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { Page, PageRequest } from "./answers.ts";

/** One provider of one of the tenant's plugins. */
export interface CredentialProvider {
  readonly tenantId: TenantId;
  /** `author/name` */
  readonly pluginId: string;
  readonly kind: CredentialKind;
  /** The provider's own name. */
  readonly provider: string;
}

export interface CredentialRecord extends CredentialProvider {
  readonly id: CredentialId;
  readonly installationId: InstallationId;
  /** Undefined: for all of the provider. */
  readonly model: CredentialModel | undefined;
  /** Unique among those of the provider. */
  readonly name: string;
  /** Names of what is kept, without values. */
  readonly fields: readonly string[];
  /** All of it, as one encrypted text. */
  readonly sealed: string;
  /** Exactly one is the default of each provider, and of each model with credentials of its own. */
  readonly isDefault: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** One credential of one tenant; that of another tenant is not found. */
export interface CredentialAt {
  readonly tenantId: TenantId;
  readonly id: CredentialId;
}

export type NewCredential = Omit<CredentialRecord, "isDefault" | "createdAt" | "updatedAt"> & {
  readonly by?: Actor;
};

export type CredentialFilter = Pick<CredentialProvider, "tenantId"> &
  Partial<Pick<CredentialProvider, "pluginId" | "kind" | "provider">>;

/**
 * Each write is one transaction with its audit event. Writes throw `conflict` while the tenant is being removed,
 * `unauthorized` for a key that was revoked meanwhile, and `credential_not_found` where the credential is gone.
 */
export interface CredentialRows {
  newId(): CredentialId;
  /**
   * The first one of a provider, or of a model, becomes its default. Throws `installation_not_found` where the plugin is
   * gone, and `conflict` where the name is taken or the provider has as many as it may have.
   */
  create(credential: NewCredential): Promise<CredentialRecord>;
  find(at: CredentialAt): Promise<CredentialRecord | undefined>;
  list(filter: CredentialFilter, page: PageRequest): Promise<Page<CredentialRecord>>;
  /** All of one provider, the oldest first. */
  ofProvider(provider: CredentialProvider): Promise<readonly CredentialRecord[]>;
  replace(
    change: CredentialAt & Pick<CredentialRecord, "fields" | "sealed"> & { readonly by?: Actor },
  ): Promise<CredentialRecord>;
  /** Repeated, it does nothing. */
  makeDefault(at: CredentialAt & { readonly by?: Actor }): Promise<CredentialRecord>;
  /** Throws `conflict` for a default while there are others that would be left without one. */
  remove(at: CredentialAt & { readonly by?: Actor }): Promise<void>;
  /** By id, those that another key than this one has encrypted. */
  sealedOtherwise(
    keyId: string,
    after: CredentialId | undefined,
    limit: number,
  ): Promise<readonly CredentialRecord[]>;
  /** Replaces the expected text by an equivalent one, without an audit event. Answers whether it did. */
  reseal(change: {
    readonly id: CredentialId;
    readonly sealed: string;
    readonly expected: string;
  }): Promise<boolean>;
}
