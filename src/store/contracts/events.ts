import type { AuditEvent } from "../../domain/audit.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { Page, PageRequest } from "./answers.ts";

/** The audit events. Each is written in the transaction of its subject. */
export interface EventRows {
  list(
    filter: { tenantId?: TenantId; installationId?: InstallationId; kind?: string; since?: Date },
    page: PageRequest,
  ): Promise<Page<AuditEvent>>;
  /** Removes at most `limit` events that are older than `days`; answers how many. */
  purge(olderThanDays: number, limit: number): Promise<number>;
}
