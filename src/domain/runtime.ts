import type { FaultJson } from "./fault.ts";
import type { RuntimeId, TenantId } from "./ids.ts";
import type { Limits } from "./limits.ts";
import type { PluginVariable } from "./variables.ts";

/** The runtimes that serve one image for one tenant, or for all tenants where `tenantId` is undefined. */
export interface Pool {
  /** 16 hex digits derived from image key and tenant: `installation/steps/pool-shape.ts`. */
  readonly key: string;
  readonly tenantId: TenantId | undefined;
  readonly pluginId: string;
  readonly identifier: string;
  readonly imageKey: string;
  /** Reference or id of the image to run. */
  readonly imageRef: string;
  readonly runner: { readonly entrypoint: string };
  readonly limits: Limits;
  /** Of the installation that it serves; none in a shared pool. */
  readonly variables: readonly PluginVariable[];
  /** Unique in the database: user and group id of its containers are 100000 + this number. */
  readonly uidOffset: number;
  /** False: no runtime is desired, because nothing installed needs it or it is disabled. */
  readonly wanted: boolean;
  readonly state: "idle" | "starting" | "ready" | "backoff" | "crash_loop";
  /** Set in `backoff` and `crash_loop`. */
  readonly cause: FaultJson | undefined;
  /** Set in `backoff`: when the next start is tried. */
  readonly nextStartAt: Date | undefined;
  readonly lease: Lease | undefined;
  /** Counts the starts that other workers asked the lease holder for, and how many of them are answered. */
  readonly startAsked: number;
  readonly startAnswered: number;
  /** Of the last answer; undefined where the pool served. */
  readonly startFault: FaultJson | undefined;
  /** Another worker asked the lease holder to remove it. */
  readonly removalAsked: boolean;
  /** Nothing needs it any more: it is removed when its last call has ended. */
  readonly retiring: boolean;
  /** Limits for the runtimes that are about to start; they replace `limits` once one of them serves. */
  readonly nextLimits: Limits | undefined;
  /** Runtimes of earlier generations must be replaced. */
  readonly generationMin: number;
}

/** Mutual exclusion by a row with a holder and an expiry; the attempt fences what the holder writes. */
export interface Lease {
  readonly holder: string;
  readonly attempt: number;
  readonly expiresAt: Date;
}

/** The row of one runtime, from its start to after its end. */
export interface RuntimeRecord {
  readonly id: RuntimeId;
  readonly poolKey: string;
  readonly slot: number;
  readonly generation: number;
  readonly containerName: string;
  readonly containerId: string | undefined;
  readonly specHash: string;
  readonly state: "starting" | "ready" | "draining" | "ended";
  readonly startedAt: Date;
  readonly readyAt: Date | undefined;
  readonly endedAt: Date | undefined;
  readonly end: RuntimeEnd | undefined;
  /** Undefined in a shared pool. */
  readonly tenantId: TenantId | undefined;
  /** What it ran; undefined in rows older than this column. */
  readonly pluginId: string | undefined;
  readonly identifier: string | undefined;
}

/** Why a runtime ended: the complete list. */
export const RUNTIME_END_REASONS = [
  /** The plugin ended on its own. */
  "crashed",
  /** The kernel killed it for its memory. */
  "oom",
  /** Berth ended it because it did not pass its health checks. */
  "unhealthy",
  /** It ended, or stayed silent, before it was ready. */
  "start_failed",
  /** Its start was interrupted for a reason outside the plugin. */
  "start_interrupted",
  /** Somebody stopped or removed its container at the engine. */
  "ended_outside",
  /** The engine stopped it when it restarted. */
  "engine_restarted",
  /** Its container had ended, or was gone, when a worker came back to it. */
  "lost",
  /** A new runtime took its place. */
  "replaced",
  /** A call in it outlived its last deadline, so a new runtime took its place. */
  "retired",
  /** No call came for the time that the operator set. */
  "idle",
  /** The pool scaled in. */
  "scaled_in",
  /** It was no longer desired. */
  "stopped",
  /** Its author's plugin ended, or lost its connection to the debug port. */
  "disconnected",
] as const;

/** Why and how a runtime ended, and what Berth did about it. */
export interface RuntimeEnd {
  readonly reason: (typeof RUNTIME_END_REASONS)[number];
  readonly exitCode?: number;
  readonly oom?: boolean;
  readonly message?: string;
  /** Last lines of its output, where it did not end on purpose. */
  readonly logs?: readonly string[];
  /** What Berth did about it. */
  readonly action?: RuntimeAction;
}

/** `delayMs`: until the next start. */
export interface RuntimeAction {
  readonly kind: "start_now" | "start_later" | "give_up";
  readonly delayMs?: number;
}

/** How many of the runtimes that serve a pool have replaced an earlier one. */
export type Replaced = "none" | "some" | "all";

/**
 * How many serving runtimes have replaced an earlier one since then. An additional runtime replaces none. The answer
 * depends on rows only, so it is the same after a crash.
 */
export function replacedSince(runtimes: readonly RuntimeRecord[], since: Date): Replaced {
  const serving = runtimes.filter(({ state }) => state === "ready");
  const isNew = ({ startedAt }: RuntimeRecord) => startedAt >= since;
  if (serving.every(isNew)) return "all";
  return serving.some((one) => isNew(one) && hasReplaced(one, runtimes)) ? "some" : "none";
}

function hasReplaced({ slot, generation }: RuntimeRecord, runtimes: readonly RuntimeRecord[]): boolean {
  const [before] = runtimes
    .filter((other) => other.slot === slot && other.generation < generation)
    .sort((a, b) => b.generation - a.generation);
  return before !== undefined && before.end?.reason !== "scaled_in";
}
