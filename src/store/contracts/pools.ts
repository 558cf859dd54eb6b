import type { FaultJson } from "../../domain/fault.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Pool } from "../../domain/runtime.ts";

export interface PoolRows {
  /** Makes the Pool or updates image reference, limits and `wanted`; `uidOffset` is given once and never reused while it exists. */
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
  /** Where no Installation (not `removed`) points to it: it is not wanted any more, and the answer is true. */
  unwantUnused(key: string): Promise<boolean>;
  /** Where no enabled Installation points to it: it is not wanted any more, and the answer is true. */
  unwantIdle(key: string): Promise<boolean>;
  /** Unless an Installation (not `removed`) points to it; answers whether it is gone. */
  removeUnused(key: string): Promise<boolean>;
  /** Takes or renews the lease for this holder; undefined while another's stands. */
  claim(key: string, holder: string, leaseMs: number): Promise<Pool | undefined>;
  /** Answers the keys of the Pools that the holder let go. */
  releaseAll(holder: string): Promise<readonly string[]>;
  /**
   * A request to whoever holds the lease: start it as an install does, whatever its state. The answer is the request's
   * number: once `startAnswered` has reached it, `startFault` says how the start went.
   */
  askStart(key: string): Promise<number>;
  /**
   * Such a request that only a Runtime answers which is newer than all that there are, or, with limits, one that runs
   * under these. They become the Pool's once it serves, and are forgotten where it could not start.
   */
  askReplace(key: string, limits: Limits | undefined): Promise<number>;
  /** The request is wanted no more; whatever was started for it serves or goes. */
  withdraw(key: string, asked: number): Promise<void>;
  /** Answers every request up to the number; undefined: it serves. */
  answerStart(key: string, asked: number, fault: FaultJson | undefined): Promise<void>;
  /** The same for the removal of a Pool that is not wanted; whoever needs it again (`ensure`) takes it back. */
  askRemoval(key: string, asked: boolean): Promise<void>;
}
