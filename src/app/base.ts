import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { Fault } from "../domain/fault.ts";
import type { TenantQuotas } from "../domain/tenant-quotas.ts";
import type { TrustedKey } from "../domain/trust.ts";
import type { SecretKeys } from "../endpoint/secret-settings/secret-keys.ts";
import { createPackageKeeper, type PackageKeeper } from "../installation/packages/package-keeper.ts";
import { createTrust, type Trust } from "../installation/trust/trust.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics/metrics.ts";
import { createPackageReader, type PackageReader } from "../packages/package-reader.ts";
import type { PackageStore } from "../packages/package-store.ts";
import { readKeyFiles } from "../packages/signature/key-files.ts";
import { marketplaceKey } from "../packages/signature/marketplace-key.ts";
import { openBullQueue } from "../queue/bullmq/bull-queue.ts";
import { startRedisChild } from "../queue/bullmq/redis-child.ts";
import { reachRedis } from "../queue/bullmq/redis-server.ts";
import { openLocalQueue } from "../queue/local/local-queue.ts";
import type { Queue } from "../queue/queue.ts";
import { type CaBundle, readCaBundle } from "../runtime/launch/ca-bundle.ts";
import { joinProcesses, type LiveProcesses } from "../runtime/reach/live-processes.ts";
import type { FileStore } from "../storage/file-store.ts";
import { lockDataFolder } from "../store/data-folder-lock.ts";
import { openStore } from "../store/prisma/open.ts";
import type { Store } from "../store/store.ts";
import { systemClock } from "../util/clock.ts";
import type { Scope } from "../util/scope.ts";
import { openStorage } from "./packages.ts";
import { openSecretKeys } from "./secret-keys.ts";
import { archiveSettings, trustSettings } from "./settings.ts";

/** Bounds on reading one uploaded package: the largest published ones need a tenth of them. */
const READING = { cpuMsMax: 10_000, timeoutMs: 120_000, heapMbMax: 512, threadsMax: 2 };

/**
 * `serve`: everything in one process. `api`: the HTTP APIs and this process's links to running plugins. `worker`:
 * builds, starts and supervises plugins; only a worker uses the engine. `dev`: an api alone, without engine and servers,
 * for plugins that connect from outside.
 */
export type Role = "serve" | "api" | "worker" | "dev";

/** What every later stage of the start needs, whatever the role. */
export interface Base {
  readonly role: Role;
  readonly config: Config;
  readonly log: Log;
  readonly scope: Scope;
  readonly store: Store;
  readonly queue: Queue;
  readonly packages: PackageStore;
  readonly files: FileStore;
  readonly reader: PackageReader;
  readonly trust: Trust;
  readonly archiveKeeper: PackageKeeper;
  readonly caBundle: CaBundle | undefined;
  /** The keys that encrypt what rows keep secret. */
  readonly secretKeys: SecretKeys;
  /** Names this process in leases and sockets. */
  readonly processId: string;
  readonly processes: LiveProcesses;
}

/** Inputs of a start; `starting` aborts when the process is told to stop, or the start has failed elsewhere. */
export interface StartParts {
  readonly config: Config;
  readonly log: Log;
  readonly scope: Scope;
  readonly starting: AbortSignal;
  /** Undefined: metrics are off. */
  readonly metrics?: Metrics | undefined;
}

/**
 * Opens what every role needs: database, queue, storage, trust. Throws `config_invalid`, and the fault of a part that
 * cannot be reached within the start's wait.
 */
export async function openBase(role: Role, parts: StartParts): Promise<Base> {
  const { config, log, scope } = parts;
  const { settings, dataFolder } = config;
  const isShareable = settings.DATABASE_URL !== undefined && settings.REDIS_URL !== undefined;
  if (!isShareable && (role === "api" || role === "worker")) throw serversMissing(role, config);
  // Embedded parts have one owner. Where servers hold the state, any number of processes share the folder, also from
  // containers, which could not see each other's pids in a lock.
  if (!isShareable) scope.use(await lockDataFolder(dataFolder));
  const caBundle = await openCaBundle(config, log);
  const keys = await trustedKeys(config);
  const processId = randomBytes(4).toString("hex");
  const connectionName = `berth-${role}-${processId}`;
  const [store, redis] = await Promise.all([
    openStoreOf(parts, connectionName).then((opened) => scope.use(opened)),
    role === "dev" ? undefined : openRedis(parts),
  ]);
  const { instanceId } = store;
  const bounds = { enqueueTimeoutMs: 1000, lockMs: 30_000 };
  const queue = scope.use(
    redis === undefined
      ? openLocalQueue()
      : openBullQueue({ redis, connectionName, instanceId, log, ...bounds }),
  );
  const secretKeys = await openSecretKeys(config);
  const authorities = caBundle?.pem;
  const { packages, files } = await openStorage({ ...parts, authorities, copies: role !== "worker" });
  const reader = scope.use(createPackageReader({ archives: archiveSettings(config), ...READING }));
  const archiveKeeper = createPackageKeeper({ packages, store, reader, clock: systemClock, log });
  const trust = createTrust({ store, clock: systemClock, settings: { ...trustSettings(config), keys } });
  // It leaves last: calls that still drain here count against the share of the other processes.
  const processes = scope.use(
    await joinProcesses({
      store,
      log,
      clock: systemClock,
      self: { id: processId, role: role === "dev" ? "api" : role, host: hostname(), pid: process.pid },
      pollMs: settings.BERTH_POLL_SECONDS * 1000,
      aliveMs: settings.BERTH_LEASE_SECONDS * 1000,
    }),
  );
  return {
    role,
    config,
    log,
    scope,
    store,
    queue,
    packages,
    files,
    reader,
    trust,
    archiveKeeper,
    caBundle,
    secretKeys,
    processId,
    processes,
  };
}

/** Opens the configured database and migrates it to the newest version. */
export function openStoreOf(
  { config: { settings, dataFolder }, log, starting }: Pick<StartParts, "config" | "log" | "starting">,
  applicationName: string,
): Promise<Store> {
  return openStore({
    dataFolder,
    log,
    applicationName,
    databaseUrl: settings.DATABASE_URL,
    caBundleFile: settings.BERTH_CA_BUNDLE,
    poolMax: settings.BERTH_DATABASE_POOL,
    statementTimeoutMs: 30_000,
    startWaitMs: settings.BERTH_START_WAIT_SECONDS * 1000,
    signal: starting,
    tenantDefaults: tenantDefaults(settings),
  });
}

function tenantDefaults(s: Config["settings"]): TenantQuotas {
  const bytes = (mib: number | undefined) => (mib === undefined ? undefined : mib * 1_048_576);
  return {
    installationsMax: s.BERTH_TENANT_INSTALLATIONS_MAX,
    memoryBytesMax: bytes(s.BERTH_TENANT_MEMORY_MB_MAX),
    diskBytesMax: bytes(s.BERTH_TENANT_DISK_MB_MAX),
    callsMax: s.BERTH_TENANT_CALLS_MAX,
    sourceBuilds: s.BERTH_SOURCE_BUILDS,
  };
}

function serversMissing(role: Role, { settings }: Config): Fault {
  const missing = (["DATABASE_URL", "REDIS_URL"] as const).filter((name) => settings[name] === undefined);
  return new Fault(
    "config_invalid",
    `berth ${role} shares its database and queue with other processes: set ${missing.join(" and ")}, ` +
      "or run everything in one process with berth serve.",
    { details: { field: missing.join(", "), value: null, accepted: "the URL of a server" } },
  );
}

/** Throws `config_invalid`, which names the file that is not a key. */
async function trustedKeys({ settings }: Config): Promise<readonly TrustedKey[]> {
  const paths = (settings.BERTH_TRUSTED_KEYS ?? "").split(",").flatMap((path) => path.trim() || []);
  const own = await Promise.all(paths.map((path) => readKeyFiles(path)));
  const marketplace = settings.BERTH_TRUST_MARKETPLACE === "yes" ? [marketplaceKey()] : [];
  const all = [...own.flat(), ...marketplace];
  return all.filter(({ id }, index) => all.findIndex((key) => key.id === id) === index);
}

/**
 * Reads BERTH_CA_BUNDLE where it is set, and logs the warnings of the settings. Throws `config_invalid` for an unusable
 * bundle.
 */
export async function openCaBundle(
  { settings, warnings, notes }: Config,
  log: Log,
): Promise<CaBundle | undefined> {
  const path = settings.BERTH_CA_BUNDLE;
  const bundle = path === undefined ? undefined : await readCaBundle({ path, now: new Date() });
  for (const warning of warnings) log.warn({ op: "config.read" }, warning);
  for (const note of notes) log.info({ op: "config.read" }, note);
  if (bundle !== undefined && bundle.warnings.length > 0)
    log.warn(
      { op: "ca_bundle.read", path, warnings: bundle.warnings },
      "Some certificates of BERTH_CA_BUNDLE will not be trusted",
    );
  return bundle;
}

async function openRedis({ config, log, scope, starting }: StartParts) {
  const { settings, dataFolder } = config;
  if (settings.REDIS_URL !== undefined)
    return await reachRedis({
      url: settings.REDIS_URL,
      caBundleFile: settings.BERTH_CA_BUNDLE,
      log,
      signal: starting,
      waitMs: settings.BERTH_START_WAIT_SECONDS * 1000,
    });
  const child = await startRedisChild({ folder: join(dataFolder, "redis"), log, startTimeoutMs: 30_000 });
  return { socketPath: scope.use(child).socketPath };
}
