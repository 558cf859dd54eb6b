/** Endpoints, in the daemon's own table: what a Tenant's plugins answer under an address that anybody may call. */
import type { Actor } from "../../domain/audit.ts";
import type { EndpointId } from "../../domain/endpoint.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { JsonMap } from "../../domain/json.ts";
import type { Page, PageRequest } from "./answers.ts";

export interface EndpointRecord {
  readonly id: EndpointId;
  /** The secret part of its address. It never changes. */
  readonly hookId: string;
  readonly tenantId: TenantId;
  /** `author/name` */
  readonly pluginId: string;
  /** Who set it up, as the platform knows its users; may be empty. */
  readonly userId: string;
  readonly name: string;
  readonly enabled: boolean;
  /** Secrets are sealed. */
  readonly settings: JsonMap;
  /** Tells these settings from others that the row has had or will have. */
  readonly revision: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** One Endpoint of one Tenant; that of another is as if it were not there. */
export interface EndpointAt {
  readonly tenantId: TenantId;
  readonly id: EndpointId;
}

export interface EndpointFilter {
  readonly tenantId: TenantId;
  readonly pluginId?: string;
}

export interface NewEndpoint extends EndpointAt {
  readonly pluginId: string;
  readonly userId: string;
  readonly name: string;
  readonly settings: JsonMap;
  readonly by?: Actor;
}

export interface EndpointChange extends EndpointAt {
  readonly name: string;
  readonly settings: JsonMap;
  /** The revision that it was made from: where the row has another by now, nothing is written. */
  readonly expected: string;
  readonly by?: Actor;
}

/**
 * Each write is one transaction with its line in the audit and with both counters of the Installation's row, which are
 * counted anew: they are never negative, and right again after whatever an earlier daemon made of them. While the
 * Tenant is being removed a write is `conflict`; a key that was revoked meanwhile is `unauthorized`.
 */
export interface EndpointRows {
  /** An id for a new one, as the daemon gives them: later ones sort behind earlier ones. */
  newId(): EndpointId;
  /** With a hook id of its own. Throws `installation_not_found` where the plugin is not installed, or not yet. */
  create(endpoint: NewEndpoint): Promise<EndpointRecord>;
  find(at: EndpointAt): Promise<EndpointRecord | undefined>;
  findByHook(hookId: string): Promise<EndpointRecord | undefined>;
  list(filter: EndpointFilter, page: PageRequest): Promise<Page<EndpointRecord>>;
  /** The page of that number, from 1; a size or number below 1 is as the platform's daemon takes it. */
  listPage(
    filter: EndpointFilter,
    page: { readonly number: number; readonly size: number },
  ): Promise<readonly EndpointRecord[]>;
  /** Undefined where it is gone, or has other settings than expected. */
  update(change: EndpointChange): Promise<EndpointRecord | undefined>;
  /** Repeated, it does nothing. Undefined where it is gone. */
  setEnabled(
    change: EndpointAt & { readonly enabled: boolean; readonly by?: Actor },
  ): Promise<EndpointRecord | undefined>;
  /** What it was; undefined where it is gone. */
  remove(at: EndpointAt & { readonly by?: Actor }): Promise<EndpointRecord | undefined>;
  /** Those with a secret that Berth sealed with another key than the one given; oldest first, after the id given. */
  sealedOtherwise(
    keyId: string,
    after: EndpointId | undefined,
    limit: number,
  ): Promise<readonly EndpointRecord[]>;
  /** Writes settings that mean the same, in place of the expected ones; tells no audit. Answers whether it did. */
  reseal(change: Pick<EndpointChange, "id" | "settings" | "expected">): Promise<boolean>;
}
