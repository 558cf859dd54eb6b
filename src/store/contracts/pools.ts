import type { FaultJson } from "../../domain/fault.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Pool } from "../../domain/runtime.ts";

export interface PoolRows {
  /** Creates the pool, or updates image reference, limits, variables and `wanted`. `uidOffset` is assigned once and not reused while the pool exists. */
  ensure(
    pool: Pick<
      Pool,
      | "key"
      | "tenantId"
      | "pluginId"
      | "identifier"
      | "imageKey"
      | "imageRef"
      | "runner"
      | "limits"
      | "wanted"
    >,
  ): Promise<Pool>;
  find(key: string): Promise<Pool | undefined>;
  list(): Promise<readonly Pool[]>;
  setState(
    key: string,
    state: { state: Pool["state"]; cause: FaultJson | undefined; nextStartAt: Date | undefined },
  ): Promise<void>;
  setWanted(key: string, wanted: boolean): Promise<void>;
  /** Sets `wanted` to false where no installation (not `removed`) points to it; answers whether it did. */
  unwantUnused(key: string): Promise<boolean>;
  /** Sets `wanted` to false where no enabled installation points to it; answers whether it did. */
  unwantIdle(key: string): Promise<boolean>;
  /** Removes it unless an installation (not `removed`) points to it; answers whether it is gone. */
  removeUnused(key: string): Promise<boolean>;
  /** Takes or renews the lease for this holder; undefined while another holder has it. */
  claim(key: string, holder: string, leaseMs: number): Promise<Pool | undefined>;
  /** Renews the leases that this holder has and that have not expired; answers the keys of these pools. */
  renew(keys: readonly string[], holder: string, leaseMs: number): Promise<readonly string[]>;
  /** Releases all leases of the holder; answers the keys of their pools. */
  releaseAll(holder: string): Promise<readonly string[]>;
  /**
   * Requests the lease's holder to start the pool as an install does, whatever its state. Answers the request's number:
   * once `startAnswered` has reached it, `startFault` has the result of the start.
   */
  askStart(key: string): Promise<number>;
  /**
   * As `askStart`, but answered only by a runtime that is newer than all existing ones, or, with limits, by one that
   * runs under these. The limits become the pool's once it serves, and are dropped where it could not start.
   */
  askReplace(key: string, limits: Limits | undefined): Promise<number>;
  /** Withdraws the request; a runtime that was started for it serves or is removed. */
  withdraw(key: string, asked: number): Promise<void>;
  /** Answers every request up to the number; without a fault the pool serves. */
  answerStart(key: string, asked: number, fault: FaultJson | undefined): Promise<void>;
  /** Requests the removal of a pool that is not wanted; `ensure` withdraws it. */
  askRemoval(key: string, asked: boolean): Promise<void>;
}
