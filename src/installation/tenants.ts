/** Use cases on tenants as a whole. */
import type { Actor } from "../domain/audit.ts";
import { tenantNotFound } from "../domain/fault.ts";
import type { TenantId } from "../domain/ids.ts";
import type { Log } from "../observe/log.ts";
import type { Queue } from "../queue/queue.ts";
import type { TenantStorage } from "../storage/tenant-storage.ts";
import type { Page, PageRequest } from "../store/contracts/answers.ts";
import type { RemovalAccepted, TenantRecord } from "../store/contracts/tenants.ts";
import type { Store } from "../store/store.ts";
import { enqueueTask } from "./task-engine/enqueue-task.ts";

export interface TenantUse extends TenantRecord {
  /** Bytes that its plugins keep in their storage. */
  readonly storageBytes: number;
}

export interface Tenants {
  list(page: PageRequest): Promise<Page<TenantUse>>;
  /** Throws `not_found`. */
  get(id: TenantId): Promise<TenantUse>;
  /** Accepts the removal; its keys are revoked when this resolves. Repeated, it returns the same task. */
  remove(id: TenantId, by: Actor): Promise<RemovalAccepted>;
}

export interface TenantsDeps {
  readonly store: Pick<Store, "tenants">;
  readonly queue: Queue;
  readonly storage: Pick<TenantStorage, "usedBytes">;
  readonly log: Log;
}

export function createTenants({ store, storage, queue, log }: TenantsDeps): Tenants {
  const measured = async (tenant: TenantRecord): Promise<TenantUse> => ({
    ...tenant,
    storageBytes: await storage.usedBytes(tenant.id),
  });
  return {
    list: async (request) => {
      const { items, nextCursor } = await store.tenants.list(request);
      const used: TenantUse[] = [];
      // One after the other: measuring a page of large storages at once would slow calls down.
      for (const tenant of items) used.push(await measured(tenant));
      return { items: used, nextCursor };
    },
    get: async (id) => {
      const tenant = await store.tenants.find(id);
      if (tenant !== undefined) return await measured(tenant);
      throw tenantNotFound(id);
    },
    remove: async (id, by) => {
      const accepted = await store.tenants.acceptRemoval(id, by);
      await enqueueTask({ queue, log }, accepted);
      return accepted;
    },
  };
}
