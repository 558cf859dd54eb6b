/**
 * The composition root: with the stages in `app/` the only code that names concrete implementations. Parts start from
 * the bottom up and stop in reverse order; a start that fails half-way undoes what it has begun.
 */
import { openDoor, openHealthDoor, startDirectory, startInvoker } from "./app/api.ts";
import { type Base, openBase, type Role, type StartParts } from "./app/base.ts";
import { sweepDebugConnections } from "./app/debug.ts";
import { startDisk } from "./app/disk.ts";
import { startDoctor } from "./app/doctor.ts";
import { createLinks } from "./app/links.ts";
import { takePriority } from "./app/priority.ts";
import { storageLayout } from "./app/settings.ts";
import { adoptBefore, startTakeoverWork } from "./app/takeover.ts";
import { createTransfers } from "./app/transfers.ts";
import {
  type Ending,
  type EngineSide,
  openEngine,
  openNetwork,
  startSupervision,
  startTasks,
} from "./app/worker.ts";
import type { Config } from "./config.ts";
import { Fault } from "./domain/fault.ts";
import type { HealthParts } from "./http/routes/health/health.ts";
import { NO_TRANSFERS } from "./installation/transfer/transfers.ts";
import { boundLog } from "./observe/bounded-log.ts";
import type { Log } from "./observe/log.ts";
import { createMetrics } from "./observe/metrics/metrics.ts";
import { watchUncaught } from "./observe/uncaught.ts";
import { prepareDataFolder } from "./store/data-folder.ts";
import { systemClock } from "./util/clock.ts";
import { Scope } from "./util/scope.ts";

export type { Role } from "./app/base.ts";

export interface Berth {
  readonly url: string;
  /** Undefined in a worker, which accepts no keys. */
  readonly adminKey: string | undefined;
  /** The file with the key; undefined where the key came from a setting. */
  readonly adminKeyFile: string | undefined;
  /** Resolves where this Berth must not continue: the caller stops it and reports the fault. */
  readonly lost: Promise<Fault>;
  /** Stops all parts. Plugins' containers keep running, unless `removeContainers` is set. */
  stop(options: { removeContainers: boolean }): Promise<void>;
}

interface Door {
  readonly url: string;
  readonly adminKey: string | undefined;
  readonly adminKeyFile: string | undefined;
}

/** Resolves when the process listens; throws a fault that says what is missing or wrong. */
export async function startBerth({
  config,
  log: given,
  role,
  signal,
}: {
  readonly config: Config;
  readonly log: Log;
  readonly role: Role;
  /** Aborts a start that still waits for its servers; `stop` stops a Berth that has started. */
  readonly signal: AbortSignal;
}): Promise<Berth> {
  const scope = new Scope();
  const metrics = config.settings.BERTH_METRICS === "on" ? createMetrics({ ofProcess: true }) : undefined;
  // metrics also count lines that the bounded log drops
  const bounded = boundLog(given);
  scope.add(() => bounded[Symbol.dispose]());
  const log = metrics?.tap(bounded) ?? bounded;
  const starting = AbortSignal.any([signal, scope.signal]);
  const { promise: lost, resolve: onLost } = Promise.withResolvers<Fault>();
  const ending = { removeContainers: false, onLost };
  const uncaught = watchUncaught({
    log,
    clock: systemClock,
    perMinuteMax: config.settings.BERTH_EXCEPTIONS_PER_MINUTE_MAX,
    onDoubt: (why) => onLost(new Fault("internal", `Berth stops because its state is in doubt: ${why}.`)),
  });
  scope.add(() => uncaught[Symbol.dispose]());
  try {
    const door = await start(role, { config, log, scope, starting, metrics }, ending);
    return {
      ...door,
      lost,
      stop: ({ removeContainers }) => {
        ending.removeContainers = removeContainers;
        return scope.close(new Fault("shutting_down", "Berth is stopping."));
      },
    };
  } catch (error) {
    await scope.close(error).catch((failure) => log.error({ op: "berth.stop", err: failure }));
    throw error;
  }
}

const SERVING = ["berth_runtimes_serving", "Containers of the plugin that take calls"] as const;

async function start(role: Role, parts: StartParts, ending: Ending): Promise<Door> {
  takePriority({ nice: parts.config.settings.BERTH_NICE, log: parts.log });
  await prepareDataFolder(parts.config.dataFolder);
  if (parts.config.settings.BERTH_STORAGE !== undefined)
    await prepareDataFolder(storageLayout(parts.config).root, "BERTH_STORAGE");
  const [base, bareEngine] = await Promise.all([
    openBase(role, parts),
    role === "api" || role === "dev" ? undefined : openEngine(parts),
  ]);
  await adoptBefore(base);
  const engineSide = bareEngine === undefined ? undefined : await openNetwork(base, bareEngine);
  const links = createLinks(base);
  // The directory first: the keeper then finds the links that the directory has made from rows.
  const directory = role === "worker" ? undefined : await startDirectory(base, links);
  const keeper =
    engineSide === undefined ? undefined : await startSupervision(base, engineSide, links, ending);
  const { metrics } = parts;
  if (keeper !== undefined) metrics?.gaugeOfPlugins(...SERVING, () => keeper.serving());
  const invoker = directory === undefined ? undefined : await startInvoker(base, directory);
  if (engineSide !== undefined && keeper !== undefined) await startTasks(base, engineSide, keeper);
  if (engineSide !== undefined) await startTakeoverWork(base);
  if (engineSide !== undefined) await startDisk(base, engineSide);
  if (engineSide !== undefined) startDoctor(base, engineSide);
  if (engineSide !== undefined) sweepDebugConnections(base, links);
  const health = healthParts(base, engineSide);
  const transfers = engineSide === undefined ? NO_TRANSFERS : await createTransfers(base, engineSide);
  if (invoker !== undefined) return await openDoor(base, { invoker, transfers, metrics, links }, health);
  return {
    url: await openHealthDoor(base, { parts: health, metrics }),
    adminKey: undefined,
    adminKeyFile: undefined,
  };
}

/** What this process needs to be ready. */
function healthParts(
  { store, queue, packages, config }: Base,
  engineSide: EngineSide | undefined,
): HealthParts {
  return {
    database: () => store.ping(),
    queue: () => queue.ping(),
    ...(config.settings.BERTH_S3_BUCKET !== undefined && { packages: (signal) => packages.ping(signal) }),
    ...(engineSide !== undefined && {
      engine: async (signal) => void (await engineSide.engine.info(signal)),
    }),
  };
}
