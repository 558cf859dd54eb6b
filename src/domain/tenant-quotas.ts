/** What an operator lets one tenant use. */
import { Fault } from "./fault.ts";

/** Whether requirements without a fitting wheel are built from source. */
export type SourceBuilds = "allow" | "refuse";

export interface TenantQuotas {
  /** Number of installations in any state; undefined: any number. */
  readonly installationsMax: number | undefined;
  /** Bytes that its running plugins may reserve together; undefined: bounded by the host only. */
  readonly memoryBytesMax: number | undefined;
  /** Bytes that its plugins store, plus the archives of packages that it uploaded. */
  readonly diskBytesMax: number | undefined;
  /** Calls of all its plugins that run or wait. */
  readonly callsMax: number | undefined;
  /** Undefined: `allow`. */
  readonly sourceBuilds?: SourceBuilds | undefined;
}

export const NO_QUOTAS: TenantQuotas = Object.freeze({
  installationsMax: undefined,
  memoryBytesMax: undefined,
  diskBytesMax: undefined,
  callsMax: undefined,
});

/** The operator's default applies where the tenant has no quota of its own. */
export function quotasInForce(own: TenantQuotas, defaults: TenantQuotas): TenantQuotas {
  return {
    installationsMax: own.installationsMax ?? defaults.installationsMax,
    memoryBytesMax: own.memoryBytesMax ?? defaults.memoryBytesMax,
    diskBytesMax: own.diskBytesMax ?? defaults.diskBytesMax,
    callsMax: own.callsMax ?? defaults.callsMax,
    sourceBuilds: own.sourceBuilds ?? defaults.sourceBuilds,
  };
}

/** What counts against the quotas now, according to the rows. */
export interface TenantUsage {
  readonly installations: number;
  /** What its running plugins reserve. Runtimes of shared pools count for no tenant. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

/** How many calls of a tenant one process accepts: its share of them, rounded up. */
export interface CallsQuota {
  readonly callsMax: number;
  /** How many processes answer calls. */
  readonly processes: number;
}

/** Checks one more installation; undefined where it fits. */
export function refuseInstallation(max: number | undefined, used: number): Fault | undefined {
  if (max === undefined || used < max) return undefined;
  return new Fault(
    "quota_exceeded",
    `The tenant's quota is ${max} installations, and it has ${used}. Uninstall one, or ask the operator for a higher quota.`,
    { details: { quota: "installations", max, used, asked: 1 } },
  );
}

/** Checks one more start, or more memory for a running runtime; undefined where it fits. */
export function refuseMemory(
  max: number | undefined,
  used: number,
  { asked, isMore = false }: { readonly asked: number; readonly isMore?: boolean | undefined },
): Fault | undefined {
  if (max === undefined || used + asked <= max) return undefined;
  return new Fault(
    "quota_memory",
    `The tenant's memory quota is ${mib(max)}; its running plugins reserve ${mib(used)}, and this plugin asks for ` +
      `${mib(asked)}${isMore ? " more" : ""}. It ${isMore ? "gets them" : "starts"} when other plugins of the tenant stop; ` +
      "the operator can raise the quota.",
    { details: { quota: "memory_bytes", max, used, asked } },
  );
}

/** Checks bytes to be stored in addition to those that are; undefined where they fit. */
export function refuseDisk(max: number | undefined, used: number, asked: number): Fault | undefined {
  if (max === undefined || used + asked <= max) return undefined;
  return new Fault(
    "quota_disk",
    `The tenant's disk quota is ${max} bytes; its plugins' storage and its uploaded packages use ${used}, and this needs ` +
      `${asked} more. Delete what its plugins store, or ask the operator for a higher quota.`,
    { details: { quota: "disk_bytes", max, used, asked } },
  );
}

/** Checks one more call; undefined where it fits. */
export function refuseCall({ callsMax, processes }: CallsQuota, used: number): Fault | undefined {
  const max = Math.ceil(callsMax / processes);
  if (used < max) return undefined;
  const share = processes === 1 ? "" : ` (one process's share of ${callsMax} among ${processes})`;
  return new Fault(
    "quota_calls",
    `The tenant's quota is ${max} calls in flight over all its plugins${share}, and it has ${used}.`,
    {
      details: { quota: "calls", max, used, asked: 1, ...(processes === 1 ? {} : { callsMax, processes }) },
    },
  );
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}
