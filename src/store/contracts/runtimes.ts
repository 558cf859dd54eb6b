import type { MemoryReservation } from "../../domain/host-budget.ts";
import type { RuntimeId, TenantId } from "../../domain/ids.ts";
import type { RuntimeAction, RuntimeEnd, RuntimeRecord } from "../../domain/runtime.ts";

export interface RuntimeRows {
  /**
   * Reserves its memory until it ends. Throws `host_full`, and makes nothing, where all that lives and this one are
   * granted more than the host's budget, `quota_memory` where those of its Tenant are granted more than the Tenant may
   * have; of several who ask at the same moment none slips past.
   */
  create(
    runtime: Pick<RuntimeRecord, "id" | "poolKey" | "slot" | "generation" | "containerName" | "specHash"> &
      Partial<Pick<RuntimeRecord, "tenantId" | "pluginId" | "identifier">>,
    reservation?: MemoryReservation,
  ): Promise<RuntimeRecord>;
  /**
   * What it reserves from now on, of one that lives. More than before is refused as `create` refuses, and then nothing
   * changes; `undefined` as budget judges nothing: it has that much already.
   */
  reserve(
    id: RuntimeId,
    memoryBytes: number,
    judged: { readonly budgetBytes: number | undefined } | undefined,
  ): Promise<void>;
  setContainer(id: RuntimeId, containerId: string): Promise<void>;
  setState(id: RuntimeId, state: "ready" | "draining"): Promise<void>;
  end(id: RuntimeId, end: RuntimeEnd): Promise<void>;
  /** All that have not ended, or those of one Pool. */
  listLive(poolKey?: string): Promise<readonly RuntimeRecord[]>;
  /** What Berth did about an end. */
  noteAction(id: RuntimeId, action: RuntimeAction): Promise<void>;
  listOfPool(poolKey: string, limit: number): Promise<readonly RuntimeRecord[]>;
  /**
   * Those of a plugin that served a Tenant, by Pools of its own or by shared ones, and had not ended before `since`; the
   * newest first.
   */
  listOfPlugin(
    filter: { readonly tenantId: TenantId; readonly pluginId: string; readonly since: Date },
    limit: number,
  ): Promise<readonly RuntimeRecord[]>;
  /** Removes at most `limit` that ended more than so many days ago; answers how many. */
  purge(olderThanDays: number, limit: number): Promise<number>;
  find(id: RuntimeId): Promise<RuntimeRecord | undefined>;
  /** Greater than that of every Runtime that the Pool has had. */
  nextGeneration(poolKey: string): Promise<number>;
}
