import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { Fault } from "../domain/fault.ts";
import { type PluginNetwork, startPluginNetwork } from "../egress/plugin-network.ts";
import { createDockerEngine, DOCKER_ENGINE_SETTINGS } from "../engine/docker/docker-engine.ts";
import type { Engine, EngineInfo } from "../engine/engine.ts";
import { startShownTasks } from "../installation/batch/shown-tasks.ts";
import { startEventRetention } from "../installation/event-retention.ts";
import { type InstalledCopiesDeps, startInstalledCopies } from "../installation/packages/installed-copies.ts";
import { openPluginFiles } from "../installation/plugin-files.ts";
import { startDueUpgrades } from "../installation/requests/due-upgrades.ts";
import { createInstallationRequests } from "../installation/requests/installation-requests.ts";
import { createRebuild } from "../installation/requests/rebuild.ts";
import { createStepTable } from "../installation/steps/step-table.ts";
import type { StepTable } from "../installation/task-engine/steps.ts";
import { startSweeper } from "../installation/task-engine/sweeper.ts";
import { createTaskHandler } from "../installation/task-engine/task-runner.ts";
import { openVariables } from "../installation/variables.ts";
import type { Log } from "../observe/log.ts";
import { reach } from "../observe/reach.ts";
import { claimInstance, type InstanceHolder, watchClaim } from "../runtime/claim.ts";
import { readCpuPressure } from "../runtime/health/host-watch.ts";
import { cgroupParentFor, fairWeightPercent, setCgroupWeight } from "../runtime/launch/cgroup.ts";
import { checkSharedFolder } from "../runtime/launch/shared-folder.ts";
import { LogKeeper } from "../runtime/logs/log-keeper.ts";
import { RUNTIME_LOG_DEFAULTS } from "../runtime/settings.ts";
import { type RunningPoolKeeper, startPoolKeeper } from "../runtime/supervise/keeper.ts";
import { startRuntimeRetention } from "../runtime/supervise/retention.ts";
import { createSources } from "../sources/create-sources.ts";
import { createTenantStorage } from "../storage/tenant-storage.ts";
import { systemClock } from "../util/clock.ts";
import { explainNetworkFailure, type NetworkFailure } from "../util/network-failure.ts";
import { openTlsContext } from "../util/tls-context.ts";
import type { Base, StartParts } from "./base.ts";
import { createIntake } from "./intake.ts";
import type { Links } from "./links.ts";
import {
  archiveSettings,
  buildSettings,
  egressSettings,
  isolationSettings,
  launchSettings,
  profileSettings,
  shownTaskSettings,
  sourceSettings,
  storageLayout,
  supervisionSettings,
  taskSettings,
} from "./settings.ts";
import { storagePlace } from "./storage-place.ts";

/** An engine that is busy with other containers may be slow to create a mark. */
const CLAIM_MS = 60_000;

/** The engine, after it has answered. */
export interface EngineSide {
  readonly engine: Engine;
  readonly info: EngineInfo;
}

/**
 * Throws `engine_unavailable`, and `config_invalid` where the engine does not see this data folder, or remaps the users
 * of containers.
 */
export async function openEngine({ config, log, scope, starting }: StartParts) {
  const { settings } = config;
  const engine = scope.use(createEngine(config, log));
  const info = await reach(
    {
      server: `The Docker Engine at ${settings.BERTH_ENGINE_SOCKET}`,
      code: "engine_unavailable",
      op: "engine.connect",
      clock: systemClock,
      log,
      signal: starting,
      waitMs: settings.BERTH_START_WAIT_SECONDS * 1000,
      explain: explainEngine,
    },
    () => engine.info(AbortSignal.timeout(10_000)),
  );
  if (info.remapsUsers) throw usersRemapped(config);
  const { dataFolder } = config;
  await inTime("to look at the data folder", () =>
    checkSharedFolder({ engine, dataFolder, timeoutMs: 20_000, leftoverAgeMs: 60_000 }),
  );
  return { engine, info };
}

/** Plugins have user ids beyond the mapped range, and builds write into folders of the host. */
function usersRemapped({ settings }: Config): Fault {
  const value = settings.BERTH_ENGINE_SOCKET;
  return new Fault(
    "config_invalid",
    `The Docker Engine at ${value} remaps the users of containers (userns-remap). Berth gives each plugin a ` +
      "user id of its own, without any capability, and needs an engine without userns-remap.",
    { details: { field: "BERTH_ENGINE_SOCKET", value, accepted: "an engine without userns-remap" } },
  );
}

/** The engine has answered before. If it does not answer now the start fails and says what it was asked. */
async function inTime(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (!(cause instanceof DOMException && cause.name === "TimeoutError")) throw cause;
    throw new Fault("engine_unavailable", `The Docker Engine was asked ${what} and did not answer in time.`, {
      cause,
    });
  }
}

function explainEngine(error: unknown): NetworkFailure {
  const { reason, isFinal } = explainNetworkFailure(error) ?? {
    reason: error instanceof Error ? error.message : String(error),
    isFinal: false,
  };
  return { reason: `${reason}; start it, or set BERTH_ENGINE_SOCKET to its socket`, isFinal };
}

function createEngine({ settings }: Config, log: Log): Engine {
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

const GUARD_PROGRAM = join(import.meta.dirname, "../../runtime-images/python/egress");

/** How this Berth stops. */
export interface Ending {
  readonly removeContainers: boolean;
  readonly onLost: (fault: Fault) => void;
}

/** The engine, with the rules of the plugins' network in place. */
export interface NetworkSide extends EngineSide {
  readonly network: PluginNetwork;
  /** With which this Berth holds its instance id on the engine. */
  readonly claim: { readonly instanceId: string; readonly holder: InstanceHolder };
}

/** The dependencies of a plugins' network, that of Berth or of `berth doctor`. */
export function networkDeps(config: Config, { engine, log }: { readonly engine: Engine; readonly log: Log }) {
  return {
    engine,
    log,
    clock: systemClock,
    programFolder: GUARD_PROGRAM,
    settings: egressSettings(config),
    everyMs: config.settings.BERTH_RECONCILE_SECONDS * 1000,
    pollMs: config.settings.BERTH_POLL_SECONDS * 1000,
  };
}

/** Takes the instance id, then sets the rules, before anything is started or adopted. */
export async function openNetwork(
  { config, log, scope, store, processId }: Base,
  { engine, info }: EngineSide,
): Promise<NetworkSide> {
  const dataFolder = await realpath(config.dataFolder);
  const claim = { instanceId: store.instanceId, holder: { dataFolder, database: store.databaseId } };
  await inTime("to note who holds this instance id", () =>
    claimInstance(engine, claim, AbortSignal.timeout(CLAIM_MS)),
  );
  const network = scope.use(
    await startPluginNetwork({
      ...networkDeps(config, { engine, log }),
      store,
      holder: processId,
      instanceId: store.instanceId,
      dataFolder,
    }),
  );
  return { engine: network.engine, info, network, claim };
}

/** Supervision of pools. Resolves when the adoption of running runtimes has begun. */
export async function startSupervision(
  base: Base,
  { engine, info, network, claim }: NetworkSide,
  { links, folders }: Links,
  ending: Ending,
): Promise<RunningPoolKeeper> {
  const { config, log, scope, store, queue, processId, caBundle, secretKeys: keys } = base;
  const clock = systemClock;
  const { cgroupVersion } = info;
  const cgroupParent = cgroupParentFor(info);
  const weightPercent = config.settings.BERTH_PLUGINS_CPU_WEIGHT_PERCENT || fairWeightPercent(info);
  await setCgroupWeight({ parent: cgroupParent, weightPercent, cgroupVersion, log });
  const logs = scope.use(
    new LogKeeper({ engine, clock, log, dataFolder: config.dataFolder, settings: RUNTIME_LOG_DEFAULTS }),
  );
  const launch = launchSettings(config, info);
  log.info({ op: "host.budget", memory_bytes: launch.hostMemoryBytes ?? null });
  const keeper = await startPoolKeeper({
    store,
    engine,
    links,
    folders,
    logs,
    queue,
    clock,
    log,
    profile: {
      ...profileSettings(config, caBundle),
      cgroupParent,
      ...network.profile,
      openVariables: (pool) => openVariables(keys, pool),
      openFiles: (pool) => openPluginFiles({ store, keys }, pool),
    },
    onImageMissing: createRebuild({
      store,
      log,
      requests: createInstallationRequests({ store, queue, limits: config.limits, log }),
    }),
    holder: processId,
    readPressure: readCpuPressure,
    launch,
    supervision: supervisionSettings(config),
  });
  const days = config.settings.BERTH_RUNTIME_DAYS;
  scope.use(startRuntimeRetention({ store, clock, log, days, everyMs: 3_600_000, batch: 1000 }));
  const everyMs = config.settings.BERTH_RECONCILE_SECONDS * 1000;
  scope.add(async () => {
    if (ending.removeContainers) {
      await keeper.shutdownAll(AbortSignal.timeout(60_000));
      await network.remove(AbortSignal.timeout(60_000));
    }
    await keeper[Symbol.asyncDispose]();
  });
  scope.use(watchClaim({ engine, clock, log }, { ...claim, everyMs, onLost: ending.onLost }));
  return keeper;
}

function installedCopiesDeps({ config, store, packages, files, log }: Base): InstalledCopiesDeps {
  return {
    store,
    packages,
    files,
    log,
    clock: systemClock,
    folders: storageLayout(config),
    archives: archiveSettings(config),
    everyMs: config.settings.BERTH_RECONCILE_SECONDS * 1000,
  };
}

/** The work of each kind of task, with what it needs of this process. */
async function openSteps(
  base: Base,
  { engine, network }: NetworkSide,
  keeper: RunningPoolKeeper,
): Promise<StepTable> {
  const { config, log, store, queue, packages, reader, trust, caBundle } = base;
  const { leaseMs, pollMs } = taskSettings(config);
  return createStepTable({
    store,
    queue,
    engine,
    keeper,
    reader,
    trust,
    log,
    leaseMs,
    pollMs,
    clock: systemClock,
    packageStore: packages,
    storage: createTenantStorage(storagePlace(base)),
    dataFolder: config.dataFolder,
    ...createIntake(base),
    sources: createSources({
      settings: sourceSettings(config),
      trust: await openTlsContext({ caBundleFile: config.settings.BERTH_CA_BUNDLE }),
    }),
    archives: archiveSettings(config),
    isolation: isolationSettings(config),
    sharedLimits: config.limits.defaults,
    limits: config.limits,
    settings: buildSettings(config, { network: network.buildNetwork, caBundle }),
    instanceId: store.instanceId,
    cleanupMs: 30_000,
  });
}

/** Takes jobs, and enqueues again the tasks whose job was lost. */
export async function startTasks(base: Base, side: NetworkSide, keeper: RunningPoolKeeper): Promise<void> {
  const { config, log, scope, store, queue, processId } = base;
  const handler = createTaskHandler({
    store,
    queue,
    log,
    clock: systemClock,
    worker: processId,
    tasks: taskSettings(config),
    steps: await openSteps(base, side, keeper),
  });
  const copies = scope.use(startInstalledCopies(installedCopiesDeps(base)));
  const runTask: typeof handler = async (job, signal) => {
    await handler(job, signal);
    copies.look();
  };
  scope.use(await queue.work({ "task.run": runTask }));
  const sweepMs = config.settings.BERTH_SWEEP_SECONDS * 1000;
  scope.use(startSweeper({ store, queue, clock: systemClock, log, sweepMs, batch: 100, againMs: 5_000 }));
  const due = { store, queue, log, clock: systemClock };
  scope.use(startShownTasks({ ...due, ...shownTaskSettings(config) }));
  scope.use(startDueUpgrades(due, { everyMs: sweepMs, batch: 100 }));
  const days = config.settings.BERTH_EVENT_DAYS;
  const retention = { days, everyMs: 3_600_000, batch: 1000 };
  scope.use(startEventRetention({ store, clock: systemClock, log, ...retention }));
}
