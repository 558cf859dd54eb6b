/** Endpoints, in the daemon's table: tenants configure them, and anyone may call their hooks. */
import type { Actor } from "../../domain/audit.ts";
import type { EndpointId } from "../../domain/endpoint.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { JsonMap } from "../../domain/json.ts";
import type { Page, PageRequest } from "./answers.ts";

export interface EndpointRecord {
  readonly id: EndpointId;
  /** The hook id: the secret part of its hook's URL. It never changes. */
  readonly hookId: string;
  readonly tenantId: TenantId;
  /** `author/name` */
  readonly pluginId: string;
  /** The platform's user who created it; may be empty. */
  readonly userId: string;
  readonly name: string;
  readonly enabled: boolean;
  /** Secrets are encrypted. */
  readonly settings: JsonMap;
  /** Changes with every change of the settings. */
  readonly revision: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** One endpoint of one tenant; that of another tenant is not found. */
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
  /** The revision that the change is based on: where the row has another by now, nothing is written. */
  readonly expected: string;
  readonly by?: Actor;
}

/**
 * Each write is one transaction with its audit event and with both counters of the installation's row, which it counts
 * again: so they are never negative, and correct after anything that an earlier daemon wrote. Writes throw `conflict`
 * while the tenant is being removed, and `unauthorized` for a key that was revoked meanwhile.
 */
export interface EndpointRows {
  /** An id for a new endpoint, in the daemon's form: later ids sort after earlier ones. */
  newId(): EndpointId;
  /** Creates one with a new hook id. Throws `installation_not_found` where the plugin is not installed, or not yet. */
  create(endpoint: NewEndpoint): Promise<EndpointRecord>;
  find(at: EndpointAt): Promise<EndpointRecord | undefined>;
  findByHook(hookId: string): Promise<EndpointRecord | undefined>;
  list(filter: EndpointFilter, page: PageRequest): Promise<Page<EndpointRecord>>;
  /** The page of that number, from 1; a size or number below 1 means the same as in dify-plugin-daemon. */
  listPage(
    filter: EndpointFilter,
    page: { readonly number: number; readonly size: number },
  ): Promise<readonly EndpointRecord[]>;
  /** Undefined where it is gone, or has another revision. */
  update(change: EndpointChange): Promise<EndpointRecord | undefined>;
  /** Repeated, it does nothing. Undefined where it is gone. */
  setEnabled(
    change: EndpointAt & { readonly enabled: boolean; readonly by?: Actor },
  ): Promise<EndpointRecord | undefined>;
  /** Answers the removed one; undefined where it is gone. */
  remove(at: EndpointAt & { readonly by?: Actor }): Promise<EndpointRecord | undefined>;
  /** Endpoints after the given id with a secret that Berth encrypted with another key than the given one; oldest first. */
  sealedOtherwise(
    keyId: string,
    after: EndpointId | undefined,
    limit: number,
  ): Promise<readonly EndpointRecord[]>;
  /** Replaces the expected settings by equivalent ones, without an audit event. Answers whether it did. */
  reseal(change: Pick<EndpointChange, "id" | "settings" | "expected">): Promise<boolean>;
}
