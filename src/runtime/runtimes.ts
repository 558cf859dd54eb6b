/**
 * What invocation and installation need of the Runtimes: two contracts, implemented in this folder.
 */
import type { FaultJson } from "../domain/fault.ts";
import type { RuntimeId } from "../domain/ids.ts";
import type { Limits } from "../domain/limits.ts";
import type { Pool, RuntimeRecord } from "../domain/runtime.ts";
import type { RuntimeLink } from "../transport/transport.ts";

/** A Runtime that this process can reach. */
export interface ReachableRuntime {
  readonly id: RuntimeId;
  readonly poolKey: string;
  readonly link: RuntimeLink;
}

export interface PoolStatus {
  readonly state: Pool["state"] | "absent";
  readonly cause: FaultJson | undefined;
  readonly nextStartAt: Date | undefined;
}

/** Every process has one: it holds this process's links. */
export interface RuntimeDirectory {
  /** The least loaded Runtime of the Pool that is up and ready; undefined when there is none. No I/O: safe on the warm path. */
  pick(poolKey: string): ReachableRuntime | undefined;
  /**
   * Waits for one; asks for a start where the Pool is idle. Throws `plugin_not_ready` with `state`, `nextStartAt` and
   * `cause` as details at once in `crash_loop`, and the signal's reason when that aborts first.
   */
  wait(poolKey: string, signal: AbortSignal): Promise<ReachableRuntime>;
  status(poolKey: string): Promise<PoolStatus>;
  /** A call broke its contract (it overran the last deadline): the Runtime takes no more calls, drains, and is replaced. */
  retire(id: RuntimeId, reason: string): void;
}

/** Only a worker has one: it owns the engine side of the Pools whose lease it holds. */
export interface PoolKeeper {
  /**
   * Resolves when the Pool has a ready Runtime. Throws `start_crashed` or `start_timeout` with the last log lines as
   * details when the first start fails; the failed Container is removed. Repeated, it adopts what runs.
   */
  ensureReady(
    poolKey: string,
    options: { onLog: (text: string) => void },
    signal: AbortSignal,
  ): Promise<RuntimeRecord>;
  /**
   * Replaces what serves by a new Container; the old one serves until the new one is ready, and ends with its last call.
   * With `limits` the new one is under these, and there is none where the running one can be given them. Also ends
   * `crash_loop`. Resolves with the newest Runtimes of the Pool, those that serve then and those that did. Throws as `ensureReady`, `host_full` and
   * `quota_memory` also where more memory for the running one does not fit: then the old one serves on, as it was.
   */
  replace(
    poolKey: string,
    options: { readonly limits?: Limits },
    signal: AbortSignal,
  ): Promise<readonly RuntimeRecord[]>;
  /**
   * Stops the Pool's Containers where no enabled Installation points to it, each with its last call. Answers false
   * where one still runs after `waitMs`; it is stopped all the same.
   */
  stopIfIdle(poolKey: string, options: { readonly waitMs: number }, signal: AbortSignal): Promise<boolean>;
  /** Stops and removes the Pool's Containers, folders and row when no Installation points to it any more. */
  removeIfUnused(poolKey: string, signal: AbortSignal): Promise<void>;
}

export interface RuntimeLogLine {
  readonly at: Date;
  readonly stream: "stdout" | "stderr";
  readonly runtimeId: RuntimeId;
  readonly text: string;
}

export interface RuntimeLogs {
  /** Lines of all Runtimes that the Pool has had, oldest first, as far as they are kept; with `follow`, what comes after, until the signal. */
  read(
    poolKey: string,
    options: { since?: Date; follow: boolean; tail?: number },
    signal: AbortSignal,
  ): AsyncIterable<RuntimeLogLine>;
}
