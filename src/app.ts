/**
 * The composition root: the only file that names concrete implementations. Parts start from the bottom up and stop
 * in reverse order; a start that fails half-way undoes what it had begun.
 */
import { randomBytes } from "node:crypto";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  archiveSettings,
  buildSettings,
  directorySettings,
  httpSettings,
  invokerSettings,
  isolationSettings,
  launchSettings,
  profileSettings,
  serveSettings,
  supervisionSettings,
  taskSettings,
} from "./app-settings.ts";
import type { Config } from "./config.ts";
import { Fault } from "./domain/fault.ts";
import { createDockerEngine, DOCKER_ENGINE_SETTINGS } from "./engine/docker/docker-engine.ts";
import type { Engine, EngineInfo } from "./engine/engine.ts";
import { createHttpApp } from "./http/app.ts";
import { serve } from "./http/serve.ts";
import { createInstallationRequests } from "./installation/install.ts";
import { startSweeper } from "./installation/sweeper.ts";
import { createTaskHandler } from "./installation/task-runner.ts";
import { createTaskWatch } from "./installation/task-watch.ts";
import { createPackageUploads } from "./installation/upload.ts";
import { createHostCalls } from "./invocation/host-calls.ts";
import { createHostStorage } from "./invocation/host-storage.ts";
import { openInstallationDirectory } from "./invocation/installations.ts";
import { createInvoker, type Invoker } from "./invocation/invoke.ts";
import { readOrMakeAdminKey } from "./keys/admin-key-file.ts";
import { createKeyring } from "./keys/keyring.ts";
import type { Log } from "./observe/log.ts";
import { openDiskPackages } from "./packages/disk/disk-packages.ts";
import { createPackageReader, type PackageReader } from "./packages/package-reader.ts";
import type { PackageStore } from "./packages/package-store.ts";
import { openBullQueue } from "./queue/bullmq/bull-queue.ts";
import { startRedisChild } from "./queue/bullmq/redis-child.ts";
import type { Queue } from "./queue/queue.ts";
import { cgroupParentFor, setCgroupWeight } from "./runtime/cgroup.ts";
import { startRuntimeDirectory } from "./runtime/directory.ts";
import { createRuntimeFolders } from "./runtime/folder.ts";
import { type RunningPoolKeeper, startPoolKeeper } from "./runtime/keeper.ts";
import { RuntimeLinks } from "./runtime/links.ts";
import { LogKeeper } from "./runtime/logs/log-keeper.ts";
import { createRuntimeLogs } from "./runtime/logs/runtime-logs.ts";
import { networkName } from "./runtime/profile.ts";
import type { RuntimeDirectory } from "./runtime/runtimes.ts";
import { RUNTIME_LOG_DEFAULTS } from "./runtime/settings.ts";
import { lockDataFolder } from "./store/data-folder-lock.ts";
import { openStore } from "./store/prisma/open.ts";
import type { Store } from "./store/store.ts";
import { createSocketTransport } from "./transport/socket/socket-transport.ts";
import { systemClock } from "./util/clock.ts";
import { Scope } from "./util/scope.ts";

const VERSION = "0.1.0";
/** CPU weight of all plugins together, against that of an ordinary neighbour such as Berth itself. */
const PLUGINS_WEIGHT_PERCENT = 25;
/** What reading one uploaded package may take: the largest published ones take a tenth of it. */
const READING = { timeoutMs: 10_000, heapMbMax: 512, threadsMax: 2 };
const RUNNER_FILE = join(import.meta.dirname, "../runtime-images/python/runner.py");

export interface Berth {
  readonly url: string;
  readonly adminKey: string;
  /** Where the key stands; undefined when it came by setting. */
  readonly adminKeyFile: string | undefined;
  /** Stops all parts. Plugins' Containers run on, unless `removeContainers` says otherwise. */
  stop(options: { removeContainers: boolean }): Promise<void>;
}

/** What every later stage of the start stands on. */
interface Base {
  readonly config: Config;
  readonly log: Log;
  readonly scope: Scope;
  readonly store: Store;
  readonly queue: Queue;
  readonly engine: Engine;
  readonly engineInfo: EngineInfo;
  readonly packages: PackageStore;
  readonly reader: PackageReader;
  /** Names this process in leases and sockets. */
  readonly processId: string;
}

/** Everything in one process. Resolves when it listens; throws a Fault that says what is missing or wrong. */
export async function startBerth({ config, log }: { config: Config; log: Log }): Promise<Berth> {
  const scope = new Scope();
  try {
    return await start(config, log, scope);
  } catch (error) {
    await scope.close(error).catch((failure) => log.error({ op: "berth.stop", err: failure }));
    throw error;
  }
}

async function start(config: Config, log: Log, scope: Scope): Promise<Berth> {
  const base = await openBase(config, log, scope);
  const ending = { removeContainers: false };
  const runtimes = await startRuntimes(base, ending);
  const invoker = await startInvoker(base, runtimes.directory);
  await startWorker(base, runtimes.keeper);
  const door = await openDoor(base, invoker);
  return {
    ...door,
    stop: ({ removeContainers }) => {
      ending.removeContainers = removeContainers;
      return scope.close(new Fault("shutting_down", "Berth is stopping."));
    },
  };
}

async function openBase(config: Config, log: Log, scope: Scope): Promise<Base> {
  const { settings, dataFolder } = config;
  await mkdir(dataFolder, { recursive: true, mode: 0o711 });
  scope.use(await lockDataFolder(dataFolder));
  await checkCaBundle(settings.BERTH_CA_BUNDLE);
  const engine = scope.use(openEngine(config, log));
  const [store, redis, engineInfo] = await Promise.all([
    openStore({
      dataFolder,
      log,
      poolMax: settings.BERTH_DATABASE_POOL,
      statementTimeoutMs: 30_000,
      ...(settings.DATABASE_URL === undefined ? {} : { databaseUrl: settings.DATABASE_URL }),
    }).then((opened) => scope.use(opened)),
    openRedis(config, log, scope),
    reachEngine(engine, settings.BERTH_ENGINE_SOCKET),
  ]);
  const queue = scope.use(
    openBullQueue({ redis, instanceId: store.instanceId, enqueueTimeoutMs: 1000, lockMs: 30_000, log }),
  );
  const packages = await openDiskPackages({
    folder: join(dataFolder, "packages"),
    stagedAgeMaxMs: 3_600_000,
  });
  const reader = scope.use(createPackageReader({ archives: archiveSettings(config), ...READING }));
  const processId = randomBytes(4).toString("hex");
  return { config, log, scope, store, queue, engine, engineInfo, packages, reader, processId };
}

function openEngine({ settings }: Config, log: Log): Engine {
  return createDockerEngine({
    socketPath: settings.BERTH_ENGINE_SOCKET,
    log,
    clock: systemClock,
    settings: {
      ...DOCKER_ENGINE_SETTINGS,
      lanes: { ...DOCKER_ENGINE_SETTINGS.lanes, builds: settings.BERTH_BUILDS_MAX },
    },
  });
}

async function reachEngine(engine: Engine, socket: string): Promise<EngineInfo> {
  try {
    return await engine.info(AbortSignal.timeout(10_000));
  } catch (cause) {
    throw new Fault(
      "engine_unavailable",
      `The Docker Engine does not answer on ${socket}. Start it, or name its socket in BERTH_ENGINE_SOCKET.`,
      { cause },
    );
  }
}

async function checkCaBundle(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  await access(path).catch((cause) => {
    throw new Fault("config_invalid", `BERTH_CA_BUNDLE is ${path}; accepted: a readable PEM file.`, {
      cause,
    });
  });
}

async function openRedis({ settings, dataFolder }: Config, log: Log, scope: Scope) {
  if (settings.REDIS_URL !== undefined) return { url: settings.REDIS_URL };
  const child = await startRedisChild({ folder: join(dataFolder, "redis"), log, startTimeoutMs: 30_000 });
  return { socketPath: scope.use(child).socketPath };
}

async function startRuntimes(base: Base, ending: { readonly removeContainers: boolean }) {
  const { config, log, scope, store, queue, engine, engineInfo, processId } = base;
  const { cgroupVersion } = engineInfo;
  const cgroupParent = cgroupParentFor(engineInfo);
  await setCgroupWeight({ parent: cgroupParent, weightPercent: PLUGINS_WEIGHT_PERCENT, cgroupVersion, log });
  const profile = { ...profileSettings(config), cgroupParent };
  const folders = createRuntimeFolders({
    dataFolder: config.dataFolder,
    runnerFile: RUNNER_FILE,
    caBundleFile: profile.caBundleFile,
  });
  const transport = scope.use(createSocketTransport({ processId, log }));
  const links = scope.use(
    new RuntimeLinks({ transport, folders, frameBytesMax: profile.frameBytesMax, log }),
  );
  const clock = systemClock;
  const directory = scope.use(
    await startRuntimeDirectory({ store, links, queue, clock, log, settings: directorySettings(config) }),
  );
  const logs = scope.use(
    new LogKeeper({ engine, clock, log, dataFolder: config.dataFolder, settings: RUNTIME_LOG_DEFAULTS }),
  );
  const keeper = await startPoolKeeper({
    ...{ store, engine, links, folders, logs, queue, clock, log, profile },
    holder: processId,
    launch: launchSettings(config),
    supervision: supervisionSettings(config),
  });
  scope.add(async () => {
    if (ending.removeContainers) await keeper.shutdownAll(AbortSignal.timeout(60_000));
    await keeper[Symbol.asyncDispose]();
  });
  return { directory, keeper };
}

async function startInvoker(base: Base, runtimes: RuntimeDirectory): Promise<Invoker> {
  const { config, log, scope, store } = base;
  const installations = scope.use(
    await openInstallationDirectory({
      store,
      clock: systemClock,
      log,
      settings: { directoryPollMs: config.settings.BERTH_POLL_SECONDS * 1000, queueMax: 100 },
    }),
  );
  const hostCalls = createHostCalls({
    storage: createHostStorage({
      folder: join(config.dataFolder, "storage"),
      bytesMax: config.settings.BERTH_PLUGIN_STORE_MB_MAX * 1_048_576,
      keysMax: 10_000,
    }),
    log,
    settings: { openMax: 100, depthMax: 4 },
  });
  return scope.use(
    createInvoker({ installations, runtimes, hostCalls, log, settings: invokerSettings(config) }),
  );
}

async function startWorker(base: Base, keeper: RunningPoolKeeper): Promise<void> {
  const { config, log, scope, store, queue, engine, packages, reader, processId } = base;
  const tasks = taskSettings(config);
  const network =
    config.settings.BERTH_PLUGIN_NETWORK === "bridge" ? networkName(store.instanceId) : "bridge";
  const handler = createTaskHandler({
    ...{ store, queue, engine, keeper, reader, log, tasks },
    clock: systemClock,
    worker: processId,
    packageStore: packages,
    archives: archiveSettings(config),
    isolation: isolationSettings(config),
    sharedLimits: config.limits.defaults,
    settings: buildSettings(config, network),
    instanceId: store.instanceId,
    cleanupMs: 30_000,
    leaseMs: tasks.leaseMs,
    pollMs: tasks.pollMs,
  });
  scope.use(await queue.work({ "task.run": handler }));
  const sweepMs = config.settings.BERTH_SWEEP_SECONDS * 1000;
  scope.use(startSweeper({ store, queue, clock: systemClock, log, sweepMs, batch: 100 }));
}

async function openDoor(base: Base, invoker: Invoker) {
  const { config, log, scope, store, queue, engine, packages, reader } = base;
  const { settings, limits, dataFolder } = config;
  const clock = systemClock;
  const made = settings.BERTH_ADMIN_KEY === undefined ? await readOrMakeAdminKey(dataFolder) : undefined;
  const adminKey = settings.BERTH_ADMIN_KEY ?? made?.key ?? "";
  const keyring = scope.use(
    await createKeyring({
      store,
      adminKey,
      clock,
      log,
      settings: { keyPollMs: settings.BERTH_POLL_SECONDS * 1000 },
    }),
  );
  const bytesMax = settings.BERTH_PACKAGE_MB_MAX * 1_048_576;
  const app = createHttpApp({
    uploads: createPackageUploads({ packages, store, clock, log, limits, bytesMax, reader }),
    requests: createInstallationRequests({ store, queue, limits, log }),
    taskWatch: createTaskWatch({ store, queue, clock, pollMs: 500 }),
    logs: createRuntimeLogs({ dataFolder, clock, settings: RUNTIME_LOG_DEFAULTS }),
    ...{ store, invoker, keyring, limitsPolicy: limits, log },
    parts: {
      engine: async (signal) => void (await engine.info(signal)),
      queue: () => queue.ping(),
    },
    settings: httpSettings(config, VERSION),
  });
  const host = settings.BERTH_HOST;
  const served = scope.use(
    await serve({ app, host, port: settings.BERTH_PORT, settings: serveSettings(config) }),
  );
  log.info({ op: "http.listen", url: served.url, instance: store.instanceId }, "Berth is ready");
  return { url: served.url, adminKey, adminKeyFile: made?.path };
}
