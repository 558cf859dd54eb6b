/**
 * The contracts of this folder: `RuntimeDirectory` for calls, `PoolKeeper` for installations, `RuntimeLogs` for readers
 * of logs.
 */
import type { FaultJson } from "../domain/fault.ts";
import type { RuntimeId } from "../domain/ids.ts";
import type { Limits } from "../domain/limits.ts";
import type { Pool, RuntimeRecord } from "../domain/runtime.ts";
import type { RuntimeLink } from "../transport/transport.ts";

/** A runtime that this process can reach. */
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

/** Finds runtimes for calls. Every process has one; it uses this process's links. */
export interface RuntimeDirectory {
  /** The least loaded runtime of the pool that is up and ready; undefined when there is none. No I/O: safe on the warm path. */
  pick(poolKey: string): ReachableRuntime | undefined;
  /**
   * Waits for one; asks for a start if the pool is idle. Throws `plugin_not_ready` with `state`, `nextStartAt` and
   * `cause` as details at once if the pool is stopped, in a crash loop, or backs off because there is no memory for it.
   * Rejects with the signal's reason when that aborts first.
   */
  wait(poolKey: string, signal: AbortSignal): Promise<ReachableRuntime>;
  status(poolKey: string): Promise<PoolStatus>;
  /** For a call that overran its last deadline: the runtime takes no more calls, drains, and is replaced. Never throws. */
  retire(id: RuntimeId, reason: string): void;
}

/** Changes what runs. Only a worker has one; a pool that another worker supervises is changed through its row. */
export interface PoolKeeper {
  /**
   * Resolves when the pool has a ready runtime. Throws `start_crashed` or `start_timeout` with the last log lines as
   * details when the first start fails; the failed container is removed. Repeated, it adopts what runs.
   */
  ensureReady(
    poolKey: string,
    options: { onLog: (text: string) => void },
    signal: AbortSignal,
  ): Promise<RuntimeRecord>;
  /**
   * Replaces each container that serves by a new one; the old one serves until the new one is ready, and ends with its
   * last call. With `limits` the pool gets these, and no new container if the running one can be changed. Also ends a
   * crash loop. Resolves with the newest runtimes of the pool, those that serve then and those that did. Throws as
   * `ensureReady`; also `host_full` and `quota_memory` if more memory for the running one does not fit. After a failure
   * the old one serves on unchanged.
   */
  replace(
    poolKey: string,
    options: { readonly limits?: Limits },
    signal: AbortSignal,
  ): Promise<readonly RuntimeRecord[]>;
  /**
   * Drains and stops the pool's containers if no enabled installation points to it. Answers false if one still runs
   * after `waitMs`; it stops later all the same.
   */
  stopIfIdle(poolKey: string, options: { readonly waitMs: number }, signal: AbortSignal): Promise<boolean>;
  /** Stops and removes the pool's containers, folders and row when no installation points to it any more. */
  removeIfUnused(poolKey: string, signal: AbortSignal): Promise<void>;
}

export interface RuntimeLogLine {
  readonly at: Date;
  readonly stream: "stdout" | "stderr";
  readonly runtimeId: RuntimeId;
  /** Of the call that the line belongs to, else of the calls that were in flight, the newest few, oldest first. */
  readonly requestIds: readonly string[];
  readonly text: string;
}

export interface RuntimeLogs {
  /**
   * Kept lines of all runtimes that the pool has had, oldest first; with `follow`, also new lines until the signal
   * aborts; with `requestId`, only lines that carry it. `tail` counts the lines that are wanted.
   */
  read(
    poolKey: string,
    options: { since?: Date; requestId?: string; follow: boolean; tail?: number },
    signal: AbortSignal,
  ): AsyncIterable<RuntimeLogLine>;
}
