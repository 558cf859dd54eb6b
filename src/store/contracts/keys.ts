import type { Actor } from "../../domain/audit.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Scope } from "../../domain/scope.ts";
import type { Page, PageRequest } from "./answers.ts";

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  /** First characters of the key, to tell keys apart. */
  readonly hint: string;
  /** SHA-256 of the key, hex. */
  readonly hash: string;
  /** Undefined: an operator's key. */
  readonly tenantId: TenantId | undefined;
  readonly scopes: readonly Scope[];
  readonly createdAt: Date;
  /** Undefined: it does not expire. */
  readonly expiresAt: Date | undefined;
  /** To the minute or so; undefined: never. */
  readonly lastUsedAt: Date | undefined;
  readonly revokedAt: Date | undefined;
}

export interface KeyRows {
  /** Throws `conflict` while the key's Tenant is being removed. */
  create(
    key: Pick<ApiKey, "name" | "hint" | "hash" | "tenantId"> &
      Partial<Pick<ApiKey, "scopes" | "expiresAt">> & { readonly by?: Actor },
  ): Promise<ApiKey>;
  /** Repeated, it does nothing. */
  revoke(id: string, by?: Actor): Promise<ApiKey>;
  /** All that were not revoked. */
  list(): Promise<readonly ApiKey[]>;
  /** Revoked and expired ones too. */
  page(filter: { tenantId?: TenantId }, page: PageRequest): Promise<Page<ApiKey>>;
  /** One statement for any number of keys; an earlier time than the one that is known changes nothing. */
  noteUse(uses: readonly { readonly id: string; readonly at: Date }[]): Promise<void>;
}
