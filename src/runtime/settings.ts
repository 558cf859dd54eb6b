/** What the operator chooses about Runtimes, grouped by who reads it. Periods are milliseconds, sizes bytes. */
import { NO_PROXIES, type Proxies } from "../domain/proxy.ts";
import type { CaBundle } from "./launch/ca-bundle.ts";

/** Read by the profile: what every plugin Container looks like. */
export interface ProfileSettings {
  /** `list`: the bridge of those that reach what is listed. */
  readonly network: "bridge" | "list" | "none";
  /** Of the bridges together; undefined leaves the Engine's choice. */
  readonly subnet: string | undefined;
  /** Name to address, in each plugin's file of hosts. */
  readonly hosts: Readonly<Record<string, string>>;
  /** The server of names of those that have a list. */
  readonly listDns: string | undefined;
  /** What of these differs for one Pool, now. */
  readonly networkOf: (poolKey: string) => Partial<Pick<ProfileSettings, "network" | "hosts" | "listDns">>;
  /** Undefined leaves the Engine's own parent. */
  readonly cgroupParent: string | undefined;
  readonly openFilesMax: number;
  readonly shmBytes: number;
  /** What the Engine itself keeps of a Container's output. */
  readonly engineLog: { readonly bytesMax: number; readonly files: number };
  /** `MAX_WORKER` of the SDK: how many sessions it runs at once. */
  readonly workersMax: number;
  readonly frameBytesMax: number;
  /** Between TERM and KILL. */
  readonly graceMs: number;
  /** Shown to plugins as `/run/berth/ca.pem`. */
  readonly caBundle: CaBundle | undefined;
  readonly proxies: Proxies;
  readonly extraEnv: Readonly<Record<string, string>>;
}

export interface LaunchSettings {
  /** From the Container's start to the plugin's first heartbeat. */
  readonly startTimeoutMs: number;
  /** The same with the time that a busy host did not have for it. */
  readonly startTimeoutBusyMs: number;
  /** While a start is awaited: how often the Engine is asked whether the Container still runs. */
  readonly startCheckMs: number;
  /** Containers that are being created or started at the same time. */
  readonly startsMax: number;
  /** Last lines of a Container's log that become part of a failure's details. */
  readonly logLinesKept: number;
  /** What all Runtimes of the host may be granted together; undefined: it is not counted. */
  readonly hostMemoryBytes: number | undefined;
}

export interface SupervisionSettings {
  readonly leaseMs: number;
  /** How often rows are compared with what this process does. */
  readonly rowPollMs: number;
  /** How often the Engine's list is compared with the rows. */
  readonly reconcileMs: number;
  readonly healthMs: number;
  /** Between pings after a miss. */
  readonly healthRetryMs: number;
  readonly pingTimeoutMs: number;
  /** A plugin whose last heartbeat is older counts as a miss: while it answers a call, and while it has none. */
  readonly heartbeatAgeMaxMs: number;
  readonly idleHeartbeatAgeMaxMs: number;
  readonly missesMax: number;
  /** Silence that ends a Runtime however busy the host is. */
  readonly healthPatienceMs: number;
  readonly healthReplacementsPerMinute: number;
  /** A timer that fires later than that shows a process that did not run. */
  readonly lateMs: number;
  /** Share of the time in which work waits for a processor, from which on the host counts as busy. */
  readonly pressurePercentMax: number;
  readonly backoffFirstMs: number;
  readonly backoffMaxMs: number;
  /** A Runtime that was ready for so long starts the back-off from the beginning. */
  readonly healthyResetMs: number;
  readonly crashesMax: number;
  readonly crashWindowMs: number;
  /** How long a draining Runtime may finish its sessions: no call may take longer. */
  readonly drainMs: number;
  /** The same for one in which a call has outlived its last deadline. */
  readonly retireMs: number;
  readonly drainPollMs: number;
  /** By then every process that calls it knows that it drains; 0 where this one alone does. */
  readonly drainNoticeMs: number;
  readonly orphanGraceMs: number;
  /** Undefined: Pools never stop for want of calls. */
  readonly idleStopMs: number | undefined;
  /** Of Pools that Tenants share; any other has its own in its limits. */
  readonly sharedReplicas: ReplicaRange;
  /** When a Pool that may have more Runtimes gets one, and gives one up; `lookMs`: how often its load is looked at. */
  readonly scaling: {
    readonly busyCalls: number;
    readonly busyMs: number;
    readonly quietMs: number;
    readonly lookMs: number;
  };
}

/** Runtimes of one Pool: always, and while it is busy at most. */
export interface ReplicaRange {
  readonly min: number;
  readonly max: number;
}

export interface DirectorySettings {
  readonly directoryPollMs: number;
  /** How often a process tells which Pools it used; undefined where nothing is stopped for idleness. */
  readonly usageReportMs: number | undefined;
}

export interface RuntimeLogSettings {
  /** Size at which a Runtime's log file is rotated. */
  readonly bytesMax: number;
  /** Files kept of one Runtime, the current one included. */
  readonly files: number;
  /** Runtimes of one Pool whose logs are kept. */
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
  extraEnv: {},
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
