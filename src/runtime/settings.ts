/** The operator's settings about runtimes, grouped by the part that reads them. Periods are milliseconds, sizes bytes. */

import type { PluginFileContent } from "../domain/plugin-files.ts";
import { NO_PROXIES, type Proxies } from "../domain/proxy.ts";
import type { Pool } from "../domain/runtime.ts";
import type { CaBundle } from "./launch/ca-bundle.ts";

/** For the profile of plugin containers. */
export interface ProfileSettings {
  /** `list`: the bridge of plugins with a list of destinations. */
  readonly network: "bridge" | "list" | "none";
  /** Of the bridges together; undefined lets the engine choose. */
  readonly subnet: string | undefined;
  /** Name to address, in each plugin's hosts file. */
  readonly hosts: Readonly<Record<string, string>>;
  /** The DNS server of plugins with a list. */
  readonly listDns: string | undefined;
  /** The values that differ for one pool now. */
  readonly networkOf: (poolKey: string) => Partial<Pick<ProfileSettings, "network" | "hosts" | "listDns">>;
  /** Undefined: the engine's own parent. */
  readonly cgroupParent: string | undefined;
  readonly openFilesMax: number;
  readonly shmBytes: number;
  /** How much of a container's output the engine keeps. */
  readonly engineLog: { readonly bytesMax: number; readonly files: number };
  /** `MAX_WORKER` of the SDK: how many sessions it runs at once. */
  readonly workersMax: number;
  readonly frameBytesMax: number;
  /** Time between TERM and KILL. */
  readonly graceMs: number;
  /** Mounted into plugins as `/run/berth/ca.pem`. */
  readonly caBundle: CaBundle | undefined;
  readonly proxies: Proxies;
  /** `TZ` of plugins; undefined: that of their image. */
  readonly timeZone: string | undefined;
  /** `author/name` of plugins that run on a copy of their files in `/tmp`; `*`: all. */
  readonly writablePlugins: readonly string[];
  readonly extraEnv: Readonly<Record<string, string>>;
  /** A pool's variables in plain text. Throws `secret_unreadable`. */
  readonly openVariables: (
    pool: Pick<Pool, "tenantId" | "pluginId" | "variables">,
  ) => Readonly<Record<string, string>>;
  /** The files of a pool that has some. Throws `secret_unreadable`. */
  readonly openFiles: (pool: Pick<Pool, "tenantId" | "pluginId">) => Promise<readonly PluginFileContent[]>;
}

export interface LaunchSettings {
  /** From the container's start to the plugin's first heartbeat. */
  readonly startTimeoutMs: number;
  /** The same limit including time in which the host was too busy. */
  readonly startTimeoutBusyMs: number;
  /** How often the engine is asked during a start whether the container still runs. */
  readonly startCheckMs: number;
  /** Most containers that are created or started at the same time. */
  readonly startsMax: number;
  /** Last lines of a container's log that become part of a failure's details. */
  readonly logLinesKept: number;
  /** Memory limits of all runtimes of the host together; undefined: not counted. */
  readonly hostMemoryBytes: number | undefined;
}

export interface SupervisionSettings {
  readonly leaseMs: number;
  /** How often rows are compared with what this process supervises. */
  readonly rowPollMs: number;
  /** How often the engine's list is compared with the rows. */
  readonly reconcileMs: number;
  readonly healthMs: number;
  /** Between pings after a miss. */
  readonly healthRetryMs: number;
  readonly pingTimeoutMs: number;
  /** A plugin whose last heartbeat is older counts as a miss: while it answers a call, and while it has none. */
  readonly heartbeatAgeMaxMs: number;
  readonly idleHeartbeatAgeMaxMs: number;
  readonly missesMax: number;
  /** Silence that replaces a runtime however busy the host is. */
  readonly healthPatienceMs: number;
  readonly healthReplacementsPerMinute: number;
  /** A timer that fires later than this shows that the process did not run. */
  readonly lateMs: number;
  /** Share of the time in which work waits for a processor, from which on the host counts as busy. */
  readonly pressurePercentMax: number;
  readonly backoffFirstMs: number;
  readonly backoffMaxMs: number;
  /** A runtime that was ready for so long starts the back-off from the beginning. */
  readonly healthyResetMs: number;
  readonly crashesMax: number;
  readonly crashWindowMs: number;
  /** How long a draining runtime may finish its sessions: no call may take longer. */
  readonly drainMs: number;
  /** The same for one in which a call has outlived its last deadline. */
  readonly retireMs: number;
  readonly drainPollMs: number;
  /** After this time every process that calls it knows of the drain; 0 if there is only this process. */
  readonly drainNoticeMs: number;
  readonly orphanGraceMs: number;
  /** Pools without calls for so long stop; undefined: never. */
  readonly idleStopMs: number | undefined;
  /** For pools that tenants share; any other pool has its own in its limits. */
  readonly sharedReplicas: ReplicaRange;
  /** When a pool within its range gets one runtime more or less; `lookMs`: how often its load is sampled. */
  readonly scaling: {
    readonly busyCalls: number;
    readonly busyMs: number;
    readonly quietMs: number;
    readonly lookMs: number;
  };
}

/** Number of runtimes of one pool: always at least, and while it is busy at most. */
export interface ReplicaRange {
  readonly min: number;
  readonly max: number;
}

export interface DirectorySettings {
  readonly directoryPollMs: number;
  /** How often a process announces which pools had calls; undefined if idle pools do not stop. */
  readonly usageReportMs: number | undefined;
}

export interface RuntimeLogSettings {
  /** Size at which a runtime's log file is rotated. */
  readonly bytesMax: number;
  /** Files kept of one runtime, the current one included. */
  readonly files: number;
  /** Runtimes of one pool whose logs are kept. */
  readonly runtimesKept: number;
  /** How often a follower looks for new lines. */
  readonly pollMs: number;
}

const KB = 1024;
const MB = 1024 * KB;

export const PROFILE_DEFAULTS: ProfileSettings = Object.freeze({
  network: "bridge",
  subnet: undefined,
  hosts: {},
  listDns: undefined,
  networkOf: () => ({}),
  cgroupParent: undefined,
  openFilesMax: 4096,
  shmBytes: 16 * MB,
  engineLog: { bytesMax: 4 * MB, files: 3 },
  workersMax: 1000,
  frameBytesMax: 16 * MB,
  graceMs: 5_000,
  caBundle: undefined,
  proxies: NO_PROXIES,
  timeZone: undefined,
  writablePlugins: [],
  extraEnv: {},
  openVariables: () => ({}),
  openFiles: async () => [],
});

export const LAUNCH_DEFAULTS: LaunchSettings = Object.freeze({
  startTimeoutMs: 120_000,
  startTimeoutBusyMs: 360_000,
  startCheckMs: 1_000,
  startsMax: 4,
  logLinesKept: 200,
  hostMemoryBytes: undefined,
});

export const SUPERVISION_DEFAULTS: SupervisionSettings = Object.freeze({
  leaseMs: 15_000,
  rowPollMs: 2_000,
  reconcileMs: 30_000,
  healthMs: 20_000,
  healthRetryMs: 1_000,
  pingTimeoutMs: 2_000,
  heartbeatAgeMaxMs: 120_000,
  idleHeartbeatAgeMaxMs: 25_000,
  missesMax: 3,
  healthPatienceMs: 300_000,
  healthReplacementsPerMinute: 6,
  lateMs: 1_000,
  pressurePercentMax: 60,
  backoffFirstMs: 1_000,
  backoffMaxMs: 60_000,
  healthyResetMs: 60_000,
  crashesMax: 5,
  crashWindowMs: 600_000,
  drainMs: 605_000,
  retireMs: 60_000,
  drainPollMs: 250,
  drainNoticeMs: 0,
  orphanGraceMs: 60_000,
  idleStopMs: undefined,
  sharedReplicas: { min: 1, max: 1 },
  scaling: { busyCalls: 1, busyMs: 5_000, quietMs: 300_000, lookMs: 1_000 },
});

export const DIRECTORY_DEFAULTS: DirectorySettings = Object.freeze({
  directoryPollMs: 2_000,
  usageReportMs: undefined,
});

export const RUNTIME_LOG_DEFAULTS: RuntimeLogSettings = Object.freeze({
  bytesMax: 5 * MB,
  files: 2,
  runtimesKept: 10,
  pollMs: 300,
});
