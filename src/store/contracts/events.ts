import type { AuditEvent } from "../../domain/audit.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { Page, PageRequest } from "./answers.ts";

/** The audit events. Each of a change is written in the transaction of its subject. */
export interface EventRows {
  list(
    filter: { tenantId?: TenantId; installationId?: InstallationId; kind?: string; since?: Date },
    page: PageRequest,
  ): Promise<Page<AuditEvent>>;
  /**
   * Writes that a plugin of the pool called back for a session that is not open: of each plugin of a tenant at most one
   * in a minute, however many processes write. Answers whether it did; a pool that is gone has none.
   */
  recordForeignCall(poolKey: string): Promise<boolean>;
  /** Removes at most `limit` events that are older than `days`; answers how many. */
  purge(olderThanDays: number, limit: number): Promise<number>;
}
