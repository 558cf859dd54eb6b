import type { AuditEvent } from "../../domain/audit.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { Page, PageRequest } from "./answers.ts";

/** The audit events. They are written by what they are about, in its transaction. */
export interface EventRows {
  list(
    filter: { tenantId?: TenantId; installationId?: InstallationId; kind?: string; since?: Date },
    page: PageRequest,
  ): Promise<Page<AuditEvent>>;
  /** Removes at most `limit` that are older than so many days; answers how many. */
  purge(olderThanDays: number, limit: number): Promise<number>;
}
