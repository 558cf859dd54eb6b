/** The memory that all Runtimes of one host may be granted together. CPUs are shared out by weight and not counted. */
import { Fault } from "./fault.ts";

/** What the machine keeps for itself, the database, builds and Berth, where the operator gives no number. */
const KEPT_BYTES_MAX = 1_073_741_824;
const KEPT_SHARE = 0.25;

export function defaultHostBudget(memoryBytes: number): number {
  return memoryBytes - Math.min(KEPT_BYTES_MAX, memoryBytes * KEPT_SHARE);
}

/** What a Runtime reserves, and of how much. */
export interface MemoryReservation {
  /** The limit of its Container: what tmpfs holds counts as memory. */
  readonly memoryBytes: number;
  /** Undefined: there is no budget. */
  readonly budgetBytes: number | undefined;
}

/** A start, or a Runtime that is to have more. */
export type MemoryRequest = MemoryReservation & { readonly isMore?: boolean };

/** What lives has been granted. */
export interface ReservedMemory {
  readonly bytes: number;
  readonly runtimes: number;
  /** Of which are the asking Tenant's; of a shared Pool, those of shared ones. */
  readonly ownBytes: number;
}

/** Undefined where it fits. */
export function refuseOverBudget(
  { memoryBytes, budgetBytes, isMore = false }: MemoryRequest,
  { bytes, runtimes, ownBytes }: ReservedMemory,
): Fault | undefined {
  if (budgetBytes === undefined || bytes + memoryBytes <= budgetBytes) return undefined;
  return new Fault(
    "host_full",
    `The host has no room for it now: of ${mib(budgetBytes)} of memory ${mib(bytes)} are reserved by ${runtimes} running ` +
      `plugins (${mib(ownBytes)} of them by this tenant's), and it asks for ${mib(memoryBytes)}${isMore ? " more" : ""}. ` +
      `It ${isMore ? "can have them" : "starts"} when others have stopped; the operator may raise BERTH_HOST_MEMORY_MB.`,
    {
      details: {
        budgetBytes,
        reservedBytes: bytes,
        reservedByTenant: ownBytes,
        runtimes,
        askedBytes: memoryBytes,
      },
    },
  );
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}
