/**
 * What a plugin may use. A manifest asks, the operator's ceilings grant, both are recorded.
 */
export interface Limits {
  /** Memory of the plugin itself, in bytes. The Container's own limit adds its tmpfs: see `runtime/launch/profile.ts`. */
  readonly memoryBytes: number;
  /** Size of `/tmp`, in bytes. */
  readonly storageBytes: number;
  /** CPUs, in thousandths: 1000 is one whole CPU. */
  readonly cpuMillis: number;
  readonly pidsMax: number;
  /** Invocations in flight at most, per Installation. */
  readonly concurrencyMax: number;
  /** Total time of one Invocation, in milliseconds. */
  readonly timeoutMs: number;
  /** Runtimes that the Pool always has, and how many it may have while it is busy. */
  readonly replicasMin: number;
  readonly replicasMax: number;
}

/** What interpreter, runner and page tables may need beside the plugin's own memory. */
export const SPARE_MEMORY_BYTES = 16 * 1024 * 1024;

/** The limit of a Container, and so what it reserves: the kernel counts what `/tmp` holds as memory. */
export function containerMemory({ memoryBytes, storageBytes }: Limits): number {
  return memoryBytes + storageBytes + SPARE_MEMORY_BYTES;
}

/** What a manifest asked for; absent means it did not say. `memoryIsHard` is false where the number counts as advice. */
export interface LimitsAsked {
  readonly memoryBytes?: number;
  readonly memoryIsHard: boolean;
  readonly storageBytes?: number;
  readonly concurrencyMax?: number;
  readonly timeoutMs?: number;
}

/** The operator's side: a default for what nobody asked for, a floor for advice, a ceiling for everything. */
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

/** Limits that were chosen for one Installation; what is absent is the manifest's, or the operator's, to say. */
export type LimitsWanted = Partial<Limits>;

/** As `grantLimits`, with what was chosen in place of what is asked; never above the operator's ceiling. */
export function grantWanted(asked: LimitsAsked, wanted: LimitsWanted, policy: LimitsPolicy): LimitsGranted {
  const { limits, notes } = grantLimits(asked, policy);
  const chosen = { ...limits };
  for (const key of LIMIT_KEYS) {
    const value = wanted[key];
    if (value !== undefined) chosen[key] = Math.min(value, policy.ceiling[key]);
  }
  return { limits: chosen, notes: notes.filter((note) => !isAbout(note, wanted)) };
}

/** What a manifest asks says nothing where something else was chosen. */
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

/** As requests and answers name them. */
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
