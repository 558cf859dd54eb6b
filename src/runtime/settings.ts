/** What the operator chooses about Runtimes, grouped by who reads it. Periods are milliseconds, sizes bytes. */
import { NO_PROXIES, type Proxies } from "../domain/proxy.ts";
import type { CaBundle } from "./ca-bundle.ts";

/** Read by the profile: what every plugin Container looks like. */
export interface ProfileSettings {
  readonly network: "bridge" | "none";
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
  /** While a start is awaited: how often the Engine is asked whether the Container still runs. */
  readonly startCheckMs: number;
  /** Containers that are being created or started at the same time. */
  readonly startsMax: number;
  /** Last lines of a Container's log that become part of a failure's details. */
  readonly logLinesKept: number;
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
  /** A plugin whose last heartbeat is older counts as a miss. */
  readonly heartbeatAgeMaxMs: number;
  readonly missesMax: number;
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
  /** Orphans are only reported. */
  readonly sweepDryRun: boolean;
  /** Undefined: Pools never stop for want of calls. */
  readonly idleStopMs: number | undefined;
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
  startCheckMs: 1_000,
  startsMax: 4,
  logLinesKept: 200,
});

export const SUPERVISION_DEFAULTS: SupervisionSettings = Object.freeze({
  leaseMs: 15_000,
  rowPollMs: 2_000,
  reconcileMs: 30_000,
  healthMs: 30_000,
  healthRetryMs: 1_000,
  pingTimeoutMs: 2_000,
  heartbeatAgeMaxMs: 120_000,
  missesMax: 3,
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
  sweepDryRun: false,
  idleStopMs: undefined,
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
