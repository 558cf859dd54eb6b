/**
 * Derives the settings of each part from the operator's. The numbers in this file are not settings: they follow from
 * how the parts fit together.
 */
import { join, resolve } from "node:path";
import type { Config } from "../config.ts";
import type { DebugSettings } from "../debug/settings.ts";
import { destinationOf } from "../domain/destination.ts";
import { defaultHostBudget } from "../domain/host-budget.ts";
import type { Proxies } from "../domain/proxy.ts";
import type { EgressSettings } from "../egress/settings.ts";
import type { EndpointDirectorySettings } from "../endpoint/endpoint-directory.ts";
import type { EngineInfo } from "../engine/engine.ts";
import type { HttpAppSettings } from "../http/options.ts";
import type { ServeSettings } from "../http/server/serve.ts";
import {
  BUILD_LIMITS_DEFAULTS,
  type BuildSettings,
  INDEX_DEFAULTS,
  type IndexSettings,
} from "../installation/images/build/settings.ts";
import type { BundleSettings } from "../installation/packages/bundle-uploads.ts";
import type { IsolationSettings } from "../installation/steps/pool-shape.ts";
import type { TakeoverSettings } from "../installation/takeover/takeover.ts";
import { TASK_RUNNER_DEFAULTS, type TaskRunnerSettings } from "../installation/task-engine/runner-deps.ts";
import type { ExportBounds } from "../installation/transfer/read-export.ts";
import type { TrustSettings } from "../installation/trust/trust.ts";
import type { InvokerSettings } from "../invocation/invoke.ts";
import { DEFAULT_READ_OPTIONS, type ReadPackageOptions } from "../packages/read-package.ts";
import type { InnerApiSettings } from "../platform/inner-api.ts";
import type { CaBundle } from "../runtime/launch/ca-bundle.ts";
import {
  DIRECTORY_DEFAULTS,
  type DirectorySettings,
  LAUNCH_DEFAULTS,
  type LaunchSettings,
  PROFILE_DEFAULTS,
  type ProfileSettings,
  SUPERVISION_DEFAULTS,
  type SupervisionSettings,
} from "../runtime/settings.ts";
import type { SourceSettings } from "../sources/sources.ts";
import type { StorageLayout } from "../storage/storage-layout.ts";

const MIB = 1_048_576;
const SECOND = 1000;

export function debugSettings({ settings: s }: Config): DebugSettings {
  return {
    connectionsMax: s.BERTH_DEBUG_CONNECTIONS_MAX,
    tenantConnectionsMax: s.BERTH_DEBUG_TENANT_CONNECTIONS_MAX,
    handshakeMs: 10 * SECOND,
    registrationMs: 60 * SECOND,
    // The SDK sends a heartbeat every 10 s.
    silenceMs: 60 * SECOND,
    frameBytesMax: s.BERTH_PLUGIN_FRAME_MB_MAX * MIB,
  };
}

export function profileSettings({ settings: s }: Config, caBundle: CaBundle | undefined): ProfileSettings {
  return {
    ...PROFILE_DEFAULTS,
    frameBytesMax: s.BERTH_PLUGIN_FRAME_MB_MAX * MIB,
    // With smaller files a flood of output would rotate a file away before it has been read.
    engineLog: { bytesMax: 10 * MIB, files: 3 },
    graceMs: s.BERTH_STOP_SECONDS_MAX * SECOND,
    caBundle,
    proxies: proxies(s),
    writablePlugins: list(s.BERTH_WRITABLE_PLUGINS),
    timeZone: s.BERTH_PLUGIN_TIME_ZONE ?? hostTimeZone(),
  };
}

/** By `TZ`, else by the machine's `/etc/localtime`; undefined where these name none. */
function hostTimeZone(): string | undefined {
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  return timeZone === "Etc/Unknown" ? undefined : timeZone;
}

/** Proxies and indexes that the operator has configured are reachable without being listed in the egress settings. */
export function egressSettings({ settings: s }: Config): EgressSettings {
  const of = (urls: readonly (string | undefined)[]) => {
    const all = urls.flatMap((url) => (url === undefined ? [] : destinationOf(new URL(url))));
    return [...new Set(all)].sort();
  };
  return {
    mode: s.BERTH_EGRESS,
    allow: s.BERTH_EGRESS_ALLOW,
    proxies: of([s.HTTP_PROXY, s.HTTPS_PROXY]),
    indexes: of([s.BERTH_PACKAGE_INDEX_URL, ...(s.BERTH_PACKAGE_EXTRA_INDEX_URLS ?? [])]),
    hosts: s.BERTH_EGRESS_HOSTS,
    subnet: s.BERTH_EGRESS_SUBNET,
    reportMs: 10 * SECOND,
  };
}

function proxies(s: Config["settings"]): Proxies {
  return { http: s.HTTP_PROXY, https: s.HTTPS_PROXY, bypass: s.NO_PROXY };
}

export function launchSettings(
  { settings: s }: Config,
  { memoryBytes }: Pick<EngineInfo, "memoryBytes">,
): LaunchSettings {
  return {
    ...LAUNCH_DEFAULTS,
    startTimeoutMs: s.BERTH_START_SECONDS_MAX * SECOND,
    startTimeoutBusyMs: Math.max(s.BERTH_START_SECONDS_MAX, s.BERTH_START_BUSY_SECONDS_MAX) * SECOND,
    hostMemoryBytes: hostMemoryBytes(s, memoryBytes),
  };
}

function hostMemoryBytes(s: Config["settings"], memoryBytes: number): number | undefined {
  if (s.BERTH_HOST_MEMORY_MB === undefined) return defaultHostBudget(memoryBytes);
  const bytes = s.BERTH_HOST_MEMORY_MB * MIB;
  return bytes === 0 ? undefined : bytes;
}

export function supervisionSettings({ settings: s }: Config): SupervisionSettings {
  return {
    ...SUPERVISION_DEFAULTS,
    leaseMs: s.BERTH_LEASE_SECONDS * SECOND,
    rowPollMs: s.BERTH_POLL_SECONDS * SECOND,
    // One poll of the rows by the other processes, and the time that it takes.
    drainNoticeMs: isShared(s) ? s.BERTH_POLL_SECONDS * SECOND + 500 : 0,
    reconcileMs: s.BERTH_RECONCILE_SECONDS * SECOND,
    healthMs: s.BERTH_HEALTH_SECONDS * SECOND,
    healthPatienceMs: s.BERTH_HEALTH_PATIENCE_SECONDS * SECOND,
    healthReplacementsPerMinute: s.BERTH_HEALTH_REPLACEMENTS_PER_MINUTE,
    heartbeatAgeMaxMs: s.BERTH_HEARTBEAT_SECONDS_MAX * SECOND,
    idleHeartbeatAgeMaxMs: s.BERTH_IDLE_HEARTBEAT_SECONDS_MAX * SECOND,
    pressurePercentMax: s.BERTH_PRESSURE_PERCENT_MAX,
    orphanGraceMs: s.BERTH_ORPHAN_SECONDS * SECOND,
    idleStopMs: idleStopMs(s),
    sharedReplicas: { min: s.BERTH_SHARED_REPLICAS_MIN, max: s.BERTH_SHARED_REPLICAS_MAX },
    scaling: scalingSettings(s),
  };
}

/** Checks often enough for the shorter of the two periods. */
function scalingSettings(s: Config["settings"]): SupervisionSettings["scaling"] {
  const [busyMs, quietMs] = [s.BERTH_REPLICA_BUSY_SECONDS * SECOND, s.BERTH_REPLICA_QUIET_SECONDS * SECOND];
  const lookMs = Math.min(SECOND, Math.max(50, Math.min(busyMs, quietMs) / 5));
  return { busyCalls: s.BERTH_REPLICA_BUSY_CALLS, busyMs, quietMs, lookMs };
}

/** Where the storage is, and its folders. */
export function storageLayout({ settings: s, dataFolder }: Config): StorageLayout {
  return {
    root: s.BERTH_STORAGE === undefined ? join(dataFolder, "storage") : resolve(s.BERTH_STORAGE),
    packages: s.BERTH_STORAGE_PACKAGES,
    installed: s.BERTH_STORAGE_INSTALLED,
    assets: s.BERTH_STORAGE_ASSETS,
    persistence: s.BERTH_STORAGE_PERSISTENCE,
  };
}

export function directorySettings({ settings: s }: Config): DirectorySettings {
  const idle = idleStopMs(s);
  return {
    ...DIRECTORY_DEFAULTS,
    directoryPollMs: s.BERTH_POLL_SECONDS * SECOND,
    usageReportMs: idle === undefined ? undefined : Math.max(100, idle / 4),
  };
}

/** Whether there may be other processes. */
function isShared(s: Config["settings"]): boolean {
  return s.DATABASE_URL !== undefined && s.REDIS_URL !== undefined;
}

function idleStopMs(s: Config["settings"]): number | undefined {
  return s.BERTH_IDLE_STOP_SECONDS === 0 ? undefined : s.BERTH_IDLE_STOP_SECONDS * SECOND;
}

/** A bundle contains packages, each within the bounds of a package. */
export function bundleSettings(config: Config): BundleSettings {
  const archives = archiveSettings(config);
  const bytesMax = config.settings.BERTH_BUNDLE_MB_MAX * MIB;
  return {
    archives: { ...archives, uncompressedBytesMax: bytesMax },
    bytesMax,
    cpuMsMax: 60_000,
  };
}

export function archiveSettings({ settings: s }: Config): ReadPackageOptions {
  const bytes = s.BERTH_PACKAGE_MB_MAX * MIB;
  return { ...DEFAULT_READ_OPTIONS, uncompressedBytesMax: bytes, entryBytesMax: bytes };
}

export function buildSettings(
  { settings: s, dataFolder }: Config,
  { network, caBundle }: Pick<BuildSettings, "network"> & Pick<IndexSettings, "caBundle">,
): BuildSettings {
  return {
    sourceBuilds: s.BERTH_SOURCE_BUILDS,
    cacheFolder: wheelFolders({ dataFolder }).cacheFolder,
    hostUser: `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
    workFolder: wheelFolders({ dataFolder }).workFolder,
    limits: {
      ...BUILD_LIMITS_DEFAULTS,
      memoryBytes: s.BERTH_BUILD_MEMORY_MB * MIB,
      diskBytes: s.BERTH_BUILD_DISK_MB * MIB,
      cpuMillis: Math.round(s.BERTH_BUILD_CPUS * 1000),
      totalMs: s.BERTH_BUILD_SECONDS_MAX * SECOND,
      noProgressMs: s.BERTH_BUILD_SILENCE_SECONDS_MAX * SECOND,
    },
    network,
    index: {
      ...INDEX_DEFAULTS,
      httpRetries: s.BERTH_PACKAGE_INDEX_RETRIES,
      url: s.BERTH_PACKAGE_INDEX_URL,
      extraUrls: s.BERTH_PACKAGE_EXTRA_INDEX_URLS ?? [],
      proxies: proxies(s),
      caBundle,
    },
    python: s.BERTH_PYTHON_VERSION === "exact" ? "exact" : "nearest-newer",
    variants: s.BERTH_PLUGIN_IMAGES,
  };
}

export function sourceSettings({ settings: s }: Config): SourceSettings {
  return {
    github: { url: s.BERTH_GITHUB_URL, apiUrl: s.BERTH_GITHUB_API_URL, token: s.BERTH_GITHUB_TOKEN },
    marketplace: { url: s.BERTH_MARKETPLACE_URL, token: s.BERTH_MARKETPLACE_TOKEN },
    privateNetworks: s.BERTH_SOURCE_PRIVATE_NETWORKS,
    proxies: proxies(s),
    redirectsMax: s.BERTH_SOURCE_REDIRECTS_MAX,
    bytesMax: s.BERTH_PACKAGE_MB_MAX * MIB,
    idleMs: s.BERTH_SOURCE_SILENCE_SECONDS_MAX * SECOND,
    totalMs: s.BERTH_SOURCE_SECONDS_MAX * SECOND,
    triesMax: 4,
    retryFirstMs: 500,
    retryMaxMs: 10 * SECOND,
    progressMs: SECOND,
  };
}

/** Folders of wheels: the cache that all builds share, and the parent of one folder per build. */
export function wheelFolders({
  dataFolder,
}: Pick<Config, "dataFolder">): Pick<BuildSettings, "cacheFolder" | "workFolder"> {
  return { cacheFolder: join(dataFolder, "cache", "wheels"), workFolder: join(dataFolder, "builds") };
}

export function exportBounds({ settings: s }: Config): ExportBounds {
  return {
    manifestBytesMax: MIB,
    contentBytesMax: {
      "declaration.json": 64 * MIB,
      "signatures.json": 64 * MIB,
      "package.difypkg": s.BERTH_PACKAGE_MB_MAX * MIB,
      "image.tar": s.BERTH_IMPORT_MB_MAX * MIB,
    },
  };
}

export function taskSettings({ settings: s }: Config): TaskRunnerSettings {
  return {
    ...TASK_RUNNER_DEFAULTS,
    leaseMs: s.BERTH_LEASE_SECONDS * SECOND,
    pollMs: Math.min(1000, s.BERTH_POLL_SECONDS * SECOND),
    retriesMax: s.BERTH_INSTALL_RETRIES_MAX,
    retryFirstMs: s.BERTH_INSTALL_RETRY_SECONDS * SECOND,
  };
}

/** The platform polls every few seconds while it follows a task. */
export function shownTaskSettings({ settings: s }: Config) {
  return { everyMs: s.BERTH_SWEEP_SECONDS * SECOND, succeededMs: 120 * SECOND };
}

/** Without the keys, which are in files. */
export function trustSettings({ settings: s }: Config): Omit<TrustSettings, "keys"> {
  return {
    policy: s.BERTH_SIGNATURE_POLICY,
    missingCategory: s.BERTH_SIGNATURE_NO_CATEGORY === "langgenius" ? "langgenius" : undefined,
    isVendorChecked: s.BERTH_SIGNATURE_LANGGENIUS === "yes",
  };
}

export function takeoverSettings({ settings: s }: Config): TakeoverSettings {
  return {
    everyMs: s.BERTH_SWEEP_SECONDS * SECOND,
    neededMax: Math.max(2, s.BERTH_BUILDS_MAX),
    // One place for builds stays free for those that a caller waits for.
    othersMax: Math.max(1, s.BERTH_BUILDS_MAX - 1),
    pageRows: 100,
    progressMs: 30 * SECOND,
  };
}

export function isolationSettings({ settings: s }: Config): IsolationSettings {
  const shared = list(s.BERTH_SHARED_PLUGINS).map((plugin) => [plugin, "shared"] as const);
  return {
    default: s.BERTH_ISOLATION === "shared" ? "shared" : "tenant",
    plugins: Object.fromEntries(shared),
  };
}

export function invokerSettings({ settings: s }: Config): InvokerSettings {
  return {
    startTimeoutMs: s.BERTH_START_SECONDS_MAX * SECOND,
    idleTimeoutMs: s.BERTH_PLUGIN_SECONDS_MAX * SECOND,
    overrunGraceMs: 5000,
    callerBufferBytesMax: 4 * MIB,
    callersBufferBytesMax: 256 * MIB,
    drainMs: s.BERTH_STOP_SECONDS_MAX * SECOND,
    refreshTimeoutMs: 10 * SECOND,
    buildWaitersMax: 100,
  };
}

/** Calls back that one session has open at once, and how deep plugins of a tenant can call each other. */
export const HOST_CALL_BOUNDS = { openMax: 100, depthMax: 4 };

/** A hook's body goes to the plugin as hex; it and an item from the inner API have a little text beside them. */
export function requestBytesMax({ settings: s }: Config): number {
  const itemMb = s.BERTH_DIFY_INNER_URL === undefined ? 0 : s.BERTH_DIFY_INNER_FRAME_MB_MAX;
  return Math.max(s.BERTH_PLUGIN_FRAME_MB_MAX, 2 * s.BERTH_HOOK_BODY_MB_MAX + 1, itemMb + 1) * MIB;
}

export function httpSettings({ settings: s }: Config, version: string): HttpAppSettings {
  return {
    version,
    platformVersion: s.BERTH_PLATFORM_VERSION,
    permissionDefault: s.BERTH_PLUGIN_PERMISSIONS,
    packageBytesMax: s.BERTH_PACKAGE_MB_MAX * MIB,
    jsonBytesMax: MIB,
    pingMs: 15 * SECOND,
    healthTimeoutMs: 2 * SECOND,
    invokeBytesMax: s.BERTH_PLUGIN_FRAME_MB_MAX * MIB,
    documentBytesMax: 64 * MIB,
    declarationBytesMax: 8 * MIB,
    publicUrl: s.BERTH_PUBLIC_URL?.replace(/\/+$/, ""),
    answerTimeoutMs: 60 * SECOND,
    transferTimeoutMs: 3600 * SECOND,
    tenantBodiesBytesMax: 2 * s.BERTH_PLUGIN_FRAME_MB_MAX * MIB,
    bodiesBytesMax: 8 * s.BERTH_PLUGIN_FRAME_MB_MAX * MIB,
    hookBodyBytesMax: s.BERTH_ENDPOINTS === "on" ? s.BERTH_HOOK_BODY_MB_MAX * MIB : undefined,
    hookBodiesBytesMax: Math.max(64, 2 * s.BERTH_HOOK_BODY_MB_MAX) * MIB,
    dify: { key: s.BERTH_DIFY_KEY, adminKey: s.BERTH_DIFY_ADMIN_KEY },
  };
}

export function endpointDirectorySettings({ settings: s }: Config): EndpointDirectorySettings {
  return {
    endpointPollMs: s.BERTH_POLL_SECONDS * SECOND,
    endpointsMax: 10_000,
    lookupsMax: 4,
    rereadTimeoutMs: SECOND,
  };
}

/** Undefined where the platform's inner API is not configured. */
export function innerApiSettings({ settings: s }: Config): Omit<InnerApiSettings, "trust"> | undefined {
  const { BERTH_DIFY_INNER_URL: url, BERTH_DIFY_INNER_KEY: key } = s;
  if (url === undefined || key === undefined) return undefined;
  return {
    url: url.replace(/\/+$/, ""),
    key,
    connectTimeoutMs: s.BERTH_DIFY_INNER_CONNECT_SECONDS_MAX * SECOND,
    timeoutMs: s.BERTH_DIFY_INNER_SECONDS_MAX * SECOND,
    answerBytesMax: 16 * MIB,
    itemBytesMax: s.BERTH_DIFY_INNER_FRAME_MB_MAX * MIB,
  };
}

export function serveSettings({ settings: s }: Config): ServeSettings {
  return {
    headerBytesMax: 16 * 1024,
    headersMax: 100,
    headersTimeoutMs: 10 * SECOND,
    requestTimeoutMs: s.BERTH_HTTP_REQUEST_SECONDS_MAX * SECOND,
    bodyWindowMs: 20 * SECOND,
    bodyWindowBytesMin: 8 * 1024,
    connectionsMax: s.BERTH_HTTP_CONNECTIONS_MAX,
    pipelinedMax: 16,
    requestsPerConnectionMax: 10_000,
    keepAliveTimeoutMs: s.BERTH_HTTP_IDLE_SECONDS * SECOND,
    stallTimeoutMs: 30 * SECOND,
    flushTimeoutMs: 30 * SECOND,
    lingerMs: 10 * SECOND,
    checkMs: SECOND,
    drainDelayMs: s.BERTH_DRAIN_DELAY_SECONDS * SECOND,
    idleLingerMs: 300,
    drainMs: s.BERTH_STOP_SECONDS_MAX * SECOND,
    lastWordMs: SECOND,
  };
}

function list(text: string): string[] {
  return text.split(",").flatMap((item) => item.trim() || []);
}
