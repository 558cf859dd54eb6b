/**
 * What a plugin may use. The manifest asks, the operator's ceilings bound it, and both are recorded.
 */
export interface Limits {
  /** Memory of the plugin itself, in bytes. `runtime/launch/profile.ts` adds the tmpfs for its container. */
  readonly memoryBytes: number;
  /** Size of `/tmp`, in bytes. */
  readonly storageBytes: number;
  /** CPUs, in thousandths: 1000 is one whole CPU. */
  readonly cpuMillis: number;
  readonly pidsMax: number;
  /** Calls in flight at most, per installation. */
  readonly concurrencyMax: number;
  /** Total time of one call, in milliseconds. */
  readonly timeoutMs: number;
  /** Runtimes that the pool always has, and how many it may have under load. */
  readonly replicasMin: number;
  readonly replicasMax: number;
}

/** What interpreter, runner and page tables may need beside the plugin's own memory. */
export const SPARE_MEMORY_BYTES = 16 * 1024 * 1024;

/** The memory limit of a container, which it reserves: the kernel counts the contents of `/tmp` as memory. */
export function containerMemory({ memoryBytes, storageBytes }: Limits): number {
  return memoryBytes + storageBytes + SPARE_MEMORY_BYTES;
}

/** What a manifest asks for; absent where it does not say. `memoryIsHard` is false where the number is only advice. */
export interface LimitsAsked {
  readonly memoryBytes?: number;
  readonly memoryIsHard: boolean;
  readonly storageBytes?: number;
  readonly concurrencyMax?: number;
  readonly timeoutMs?: number;
}

/** The operator's side: defaults for what the manifest does not ask, a floor for advice, a ceiling for everything. */
export interface LimitsPolicy {
  readonly memoryBytesFloor: number;
  readonly ceiling: Limits;
  readonly defaults: Limits;
}

export interface LimitsGranted {
  readonly limits: Limits;
  /** One sentence for each number that differs from what was asked. */
  readonly notes: readonly string[];
}

/** Limits chosen for one installation; for an absent one the manifest or the operator decides. */
export type LimitsWanted = Partial<Limits>;

/** As `grantLimits`, with the chosen limits in place of those asked for; never above the operator's ceiling. */
export function grantWanted(asked: LimitsAsked, wanted: LimitsWanted, policy: LimitsPolicy): LimitsGranted {
  const { limits, notes } = grantLimits(asked, policy);
  const chosen = { ...limits };
  for (const key of LIMIT_KEYS) {
    const value = wanted[key];
    if (value !== undefined) chosen[key] = Math.min(value, policy.ceiling[key]);
  }
  return { limits: chosen, notes: notes.filter((note) => !isAbout(note, wanted)) };
}

/** Notes on what the manifest asks do not apply where something else was chosen. */
function isAbout(note: string, wanted: LimitsWanted): boolean {
  return LIMIT_KEYS.some((key) => wanted[key] !== undefined && note.startsWith(`${key}:`));
}

export const LIMIT_KEYS = [
  "memoryBytes",
  "storageBytes",
  "cpuMillis",
  "pidsMax",
  "concurrencyMax",
  "timeoutMs",
  "replicasMin",
  "replicasMax",
] as const satisfies readonly (keyof Limits)[];

/** Their names in requests and answers. */
export const LIMIT_NAMES = {
  memoryBytes: "memory_bytes",
  storageBytes: "storage_bytes",
  cpuMillis: "cpu_millis",
  pidsMax: "pids_max",
  concurrencyMax: "concurrency_max",
  timeoutMs: "timeout_ms",
  replicasMin: "replicas_min",
  replicasMax: "replicas_max",
} as const satisfies Record<keyof Limits, string>;

/**
 * Grants what the manifest asks, or the default, never above the operator's ceiling; memory that is only advice never
 * falls below the operator's floor.
 */
export function grantLimits(asked: LimitsAsked, policy: LimitsPolicy): LimitsGranted {
  const notes: string[] = [];
  const grant = (key: keyof Limits, wanted: number | undefined): number => {
    const value = wanted ?? policy.defaults[key];
    if (value <= policy.ceiling[key]) return value;
    notes.push(`${key}: ${value} asked, ${policy.ceiling[key]} granted (the operator's ceiling)`);
    return policy.ceiling[key];
  };
  return {
    limits: {
      memoryBytes: grant("memoryBytes", memoryWanted(asked, policy, notes)),
      storageBytes: grant("storageBytes", asked.storageBytes),
      cpuMillis: grant("cpuMillis", undefined),
      pidsMax: grant("pidsMax", undefined),
      concurrencyMax: grant("concurrencyMax", asked.concurrencyMax),
      timeoutMs: grant("timeoutMs", asked.timeoutMs),
      replicasMin: grant("replicasMin", undefined),
      replicasMax: grant("replicasMax", undefined),
    },
    notes,
  };
}

function memoryWanted(asked: LimitsAsked, policy: LimitsPolicy, notes: string[]): number | undefined {
  const { memoryBytes, memoryIsHard } = asked;
  if (memoryBytes === undefined || memoryIsHard || memoryBytes >= policy.memoryBytesFloor) return memoryBytes;
  notes.push(
    `memoryBytes: ${memoryBytes} asked counts as advice, ${policy.memoryBytesFloor} granted (the operator's floor)`,
  );
  return policy.memoryBytesFloor;
}
