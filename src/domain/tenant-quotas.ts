/** What an operator lets one Tenant have. */
import { Fault } from "./fault.ts";

export interface TenantQuotas {
  /** Installations, whatever their state; undefined: any number. */
  readonly installationsMax: number | undefined;
  /** Bytes that its running plugins may reserve together; undefined: no bound but the host's. */
  readonly memoryBytesMax: number | undefined;
  /** Bytes that its plugins keep, and of the archives of packages that it uploaded. */
  readonly diskBytesMax: number | undefined;
  /** Calls of all its plugins that run or wait. */
  readonly callsMax: number | undefined;
}

export const NO_QUOTAS: TenantQuotas = Object.freeze({
  installationsMax: undefined,
  memoryBytesMax: undefined,
  diskBytesMax: undefined,
  callsMax: undefined,
});

/** The operator's default holds where nothing was said of the Tenant. */
export function quotasInForce(own: TenantQuotas, defaults: TenantQuotas): TenantQuotas {
  return {
    installationsMax: own.installationsMax ?? defaults.installationsMax,
    memoryBytesMax: own.memoryBytesMax ?? defaults.memoryBytesMax,
    diskBytesMax: own.diskBytesMax ?? defaults.diskBytesMax,
    callsMax: own.callsMax ?? defaults.callsMax,
  };
}

/** What counts against them now, as rows tell. */
export interface TenantUsage {
  readonly installations: number;
  /** What its running plugins reserve. Those of shared Pools are nobody's. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

/** How many calls of a Tenant one process lets in: its share of them, rounded up. */
export interface CallsQuota {
  readonly callsMax: number;
  /** How many processes answer calls. */
  readonly processes: number;
}

/** Of one more Installation; undefined where it fits. */
export function refuseInstallation(max: number | undefined, used: number): Fault | undefined {
  if (max === undefined || used < max) return undefined;
  return new Fault(
    "quota_exceeded",
    `The tenant may have ${max} installations, has ${used}, and asks for 1 more. Uninstall one, or ask the operator for more.`,
    { details: { quota: "installations", max, used, asked: 1 } },
  );
}

/** Of one more start, or of more for what runs; undefined where it fits. */
export function refuseMemory(
  max: number | undefined,
  used: number,
  { asked, isMore = false }: { readonly asked: number; readonly isMore?: boolean | undefined },
): Fault | undefined {
  if (max === undefined || used + asked <= max) return undefined;
  return new Fault(
    "quota_memory",
    `The tenant's running plugins may be granted ${mib(max)} of memory together, have ${mib(used)}, and this one asks for ` +
      `${mib(asked)}${isMore ? " more" : ""}. It ${isMore ? "can have them" : "starts"} when others of the tenant have ` +
      "stopped; the operator may raise the quota.",
    { details: { quota: "memory_bytes", max, used, asked } },
  );
}

/** Of bytes that are to be kept beside what is; undefined where they fit. */
export function refuseDisk(max: number | undefined, used: number, asked: number): Fault | undefined {
  if (max === undefined || used + asked <= max) return undefined;
  return new Fault(
    "quota_disk",
    `The tenant may keep ${max} bytes on disk, in its plugins' storage and its uploaded packages, keeps ${used}, and asks ` +
      `for ${asked} more. Delete what its plugins store, or ask the operator for more.`,
    { details: { quota: "disk_bytes", max, used, asked } },
  );
}

/** Of one more call; undefined where there is room for it. */
export function refuseCall({ callsMax, processes }: CallsQuota, used: number): Fault | undefined {
  const max = Math.ceil(callsMax / processes);
  if (used < max) return undefined;
  const share = processes === 1 ? "" : ` (one process's share of ${callsMax} among ${processes})`;
  return new Fault(
    "quota_calls",
    `The tenant may have ${max} calls in flight${share}, over all its plugins, and has ${used}.`,
    {
      details: {
        ...{ quota: "calls", max, used, asked: 1 },
        ...(processes === 1 ? {} : { callsMax, processes }),
      },
    },
  );
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}
