/** The memory that all runtimes of one host may reserve together. CPUs are shared by weight and not counted. */
import { Fault } from "./fault.ts";

/** What is reserved for the machine, the database, builds and Berth where the operator sets no budget. */
const KEPT_BYTES_MAX = 1_073_741_824;
const KEPT_SHARE = 0.25;

export function defaultHostBudget(memoryBytes: number): number {
  return memoryBytes - Math.min(KEPT_BYTES_MAX, memoryBytes * KEPT_SHARE);
}

/** What a runtime reserves, and the budget that it counts against. */
export interface MemoryReservation {
  /** The memory limit of its container, which includes its tmpfs. */
  readonly memoryBytes: number;
  /** Undefined: no budget. */
  readonly budgetBytes: number | undefined;
}

/** A start, or a running runtime that asks for more. */
export type MemoryRequest = MemoryReservation & { readonly isMore?: boolean };

/** What running runtimes have reserved. */
export interface ReservedMemory {
  readonly bytes: number;
  readonly runtimes: number;
  /** The asking tenant's part; for a shared pool, the part of all shared pools. */
  readonly ownBytes: number;
}

/** Undefined where the request fits. */
export function refuseOverBudget(
  { memoryBytes, budgetBytes, isMore = false }: MemoryRequest,
  { bytes, runtimes, ownBytes }: ReservedMemory,
): Fault | undefined {
  if (budgetBytes === undefined || bytes + memoryBytes <= budgetBytes) return undefined;
  return new Fault(
    "host_full",
    `The host has too little free memory: ${runtimes} running plugins reserve ${mib(bytes)} of ${mib(budgetBytes)} ` +
      `(${mib(ownBytes)} of them this tenant's), and this plugin asks for ${mib(memoryBytes)}${isMore ? " more" : ""}. ` +
      `It ${isMore ? "gets them" : "starts"} when other plugins stop; the operator can raise BERTH_HOST_MEMORY_MB.`,
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
