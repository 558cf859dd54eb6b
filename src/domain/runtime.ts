import type { FaultJson } from "./fault.ts";
import type { RuntimeId, TenantId } from "./ids.ts";
import type { Limits } from "./limits.ts";

/** The Runtimes that serve one image for one Tenant, or for all of them where `tenantId` is undefined. */
export interface Pool {
  /** 16 hex digits made from image key and Tenant: `installation/steps/pool-shape.ts`. */
  readonly key: string;
  readonly tenantId: TenantId | undefined;
  readonly pluginId: string;
  readonly identifier: string;
  readonly imageKey: string;
  /** Reference or id of the image to run. */
  readonly imageRef: string;
  readonly runner: { readonly entrypoint: string };
  readonly limits: Limits;
  /** Unique in the database: user and group id of its Containers are 100000 + this number. */
  readonly uidOffset: number;
  /** False: no Runtime is wanted (nothing installed needs it, or it is disabled). */
  readonly wanted: boolean;
  readonly state: "idle" | "starting" | "ready" | "backoff" | "crash_loop";
  /** Set in `backoff` and `crash_loop`. */
  readonly cause: FaultJson | undefined;
  /** Set in `backoff`: when the next start is tried. */
  readonly nextStartAt: Date | undefined;
  readonly lease: Lease | undefined;
  /** Starts that other workers asked its keeper for, counted, and how many of them have their answer. */
  readonly startAsked: number;
  readonly startAnswered: number;
  /** Of the last answer; undefined where it served. */
  readonly startFault: FaultJson | undefined;
  /** Another worker asked its keeper to remove it. */
  readonly removalAsked: boolean;
  /** Nobody needs it any more: it goes once its last call has ended. */
  readonly retiring: boolean;
  /** Limits that the Runtimes which are being asked for start under; they replace `limits` once one of them serves. */
  readonly nextLimits: Limits | undefined;
  /** Runtimes of earlier generations are to be replaced. */
  readonly generationMin: number;
}

/** Exclusion is a row with a holder and an expiry, fenced by the attempt when its result is published. */
export interface Lease {
  readonly holder: string;
  readonly attempt: number;
  readonly expiresAt: Date;
}

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
  /** Undefined in a Pool that Tenants share. */
  readonly tenantId: TenantId | undefined;
  /** What it ran; undefined of one that ended before that was written down. */
  readonly pluginId: string | undefined;
  readonly identifier: string | undefined;
}

/** Why a Runtime ended: the closed list. */
export const RUNTIME_END_REASONS = [
  /** The plugin ended by itself. */
  "crashed",
  /** The kernel ended it for its memory. */
  "oom",
  /** Berth ended it because it did not pass its health checks. */
  "unhealthy",
  /** It ended, or stayed silent, before it was ready. */
  "start_failed",
  /** Its start was given up for a reason that is not the plugin's. */
  "start_interrupted",
  /** Somebody ended or removed its Container at the Engine. */
  "ended_outside",
  /** The Engine ended it when it restarted. */
  "engine_restarted",
  /** Its Container had ended, or was gone, when a worker looked for it again. */
  "lost",
  /** Another one took its place. */
  "replaced",
  /** A call outlived its last deadline in it, so another one took its place. */
  "retired",
  /** No call came for as long as the operator chose. */
  "idle",
  /** The Pool has fewer Runtimes again. */
  "scaled_in",
  /** Nobody wanted it any more. */
  "stopped",
] as const;

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

/** Of the Runtimes that serve a Pool: how many have taken the place of another one. */
export type Replaced = "none" | "some" | "all";

/**
 * What has been replaced since then, by the newest Runtimes of the Pool, those that serve and those that did. One more
 * than there were has replaced none. Whoever asks later, after a crash, finds the same.
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
