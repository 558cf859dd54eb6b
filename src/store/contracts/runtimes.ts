import type { MemoryReservation } from "../../domain/host-budget.ts";
import type { RuntimeId, TenantId } from "../../domain/ids.ts";
import type { RuntimeAction, RuntimeEnd, RuntimeRecord } from "../../domain/runtime.ts";

export interface RuntimeRows {
  /**
   * Creates a runtime and reserves its memory until it ends. Throws, and creates nothing, `host_full` where all living
   * runtimes and this one would exceed the host's budget, and `quota_memory` where those of its tenant would exceed the
   * tenant's quota, also for simultaneous calls.
   */
  create(
    runtime: Pick<RuntimeRecord, "id" | "poolKey" | "slot" | "generation" | "containerName" | "specHash"> &
      Partial<Pick<RuntimeRecord, "tenantId" | "pluginId" | "identifier">>,
    reservation?: MemoryReservation,
  ): Promise<RuntimeRecord>;
  /**
   * Changes the reservation of a living runtime. An increase is refused as by `create`, and nothing changes then; an
   * undefined budget skips that check, for memory that it has already.
   */
  reserve(
    id: RuntimeId,
    memoryBytes: number,
    judged: { readonly budgetBytes: number | undefined } | undefined,
  ): Promise<void>;
  setContainer(id: RuntimeId, containerId: string): Promise<void>;
  setState(id: RuntimeId, state: "ready" | "draining"): Promise<void>;
  end(id: RuntimeId, end: RuntimeEnd): Promise<void>;
  /** All living runtimes, or those of one pool. */
  listLive(poolKey?: string): Promise<readonly RuntimeRecord[]>;
  /** Records what Berth did about the end of a runtime. */
  noteAction(id: RuntimeId, action: RuntimeAction): Promise<void>;
  listOfPool(poolKey: string, limit: number): Promise<readonly RuntimeRecord[]>;
  /**
   * Runtimes of a plugin that served a tenant, in pools of its own or shared ones, and had not ended before `since`; newest
   * first.
   */
  listOfPlugin(
    filter: { readonly tenantId: TenantId; readonly pluginId: string; readonly since: Date },
    limit: number,
  ): Promise<readonly RuntimeRecord[]>;
  /** Removes at most `limit` runtimes that ended more than `days` ago; answers how many. */
  purge(olderThanDays: number, limit: number): Promise<number>;
  find(id: RuntimeId): Promise<RuntimeRecord | undefined>;
  /** Greater than the number of every runtime that the pool has had. */
  nextGeneration(poolKey: string): Promise<number>;
}
