import type { Actor } from "../../domain/audit.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Scope } from "../../domain/scope.ts";
import type { Page, PageRequest } from "./answers.ts";

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  /** First characters of the key, to recognise it by. */
  readonly hint: string;
  /** SHA-256 of the key, hex. */
  readonly hash: string;
  /** Undefined for an operator's key. */
  readonly tenantId: TenantId | undefined;
  readonly scopes: readonly Scope[];
  readonly createdAt: Date;
  /** Undefined where it does not expire. */
  readonly expiresAt: Date | undefined;
  /** Last use, exact to about a minute; undefined: never used. */
  readonly lastUsedAt: Date | undefined;
  readonly revokedAt: Date | undefined;
}

export interface KeyRows {
  /** Throws `conflict` while the key's tenant is being removed. */
  create(
    key: Pick<ApiKey, "name" | "hint" | "hash" | "tenantId"> &
      Partial<Pick<ApiKey, "scopes" | "expiresAt">> & { readonly by?: Actor },
  ): Promise<ApiKey>;
  /** Repeated, it does nothing. */
  revoke(id: string, by?: Actor): Promise<ApiKey>;
  /** All keys that are not revoked. */
  list(): Promise<readonly ApiKey[]>;
  /** One page of all keys, with revoked and expired ones. */
  page(filter: { tenantId?: TenantId }, page: PageRequest): Promise<Page<ApiKey>>;
  /** Records last uses, in one statement for any number of keys; a time before the recorded one changes nothing. */
  noteUse(uses: readonly { readonly id: string; readonly at: Date }[]): Promise<void>;
}
