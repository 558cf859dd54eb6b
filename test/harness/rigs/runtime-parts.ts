/** Keeper, directory, links and logs of one Berth process, composed as in `app.ts`. */
import { join } from "node:path";
import type { Engine } from "../../../src/engine/engine.ts";
import { type Log, silentLog } from "../../../src/observe/log.ts";
import type { ReadPressure } from "../../../src/runtime/health/host-watch.ts";
import { createRuntimeFolders, type RuntimeFolders } from "../../../src/runtime/launch/runtime-folders.ts";
import { LogKeeper } from "../../../src/runtime/logs/log-keeper.ts";
import { createRuntimeLogs } from "../../../src/runtime/logs/runtime-logs.ts";
import {
  type RunningRuntimeDirectory,
  startRuntimeDirectory,
} from "../../../src/runtime/reach/runtime-directory.ts";
import { RuntimeLinks } from "../../../src/runtime/reach/runtime-links.ts";
import type { RuntimeLogs } from "../../../src/runtime/runtimes.ts";
import {
  DIRECTORY_DEFAULTS,
  LAUNCH_DEFAULTS,
  type LaunchSettings,
  PROFILE_DEFAULTS,
  type ProfileSettings,
  RUNTIME_LOG_DEFAULTS,
  SUPERVISION_DEFAULTS,
  type SupervisionSettings,
} from "../../../src/runtime/settings.ts";
import { type RunningPoolKeeper, startPoolKeeper } from "../../../src/runtime/supervise/keeper.ts";
import type { Transport } from "../../../src/transport/transport.ts";
import { type Clock, systemClock } from "../../../src/util/clock.ts";
import { Scope } from "../../../src/util/scope.ts";
import type { LocalQueue } from "../doubles/local-queue.ts";
import type { RuntimeRowsStore } from "../doubles/memory-rows.ts";

export interface RuntimePartsOptions {
  readonly store: RuntimeRowsStore;
  readonly engine: Engine;
  readonly transport: Transport;
  readonly queue: LocalQueue;
  readonly dataFolder: string;
  readonly holder: string;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Absent: a host without pressure. */
  readonly readPressure?: ReadPressure;
  readonly profile?: Partial<ProfileSettings>;
  readonly launch?: Partial<LaunchSettings>;
  readonly supervision?: Partial<SupervisionSettings>;
}

export interface RuntimeParts extends AsyncDisposable {
  readonly keeper: RunningPoolKeeper;
  readonly directory: RunningRuntimeDirectory;
  readonly links: RuntimeLinks;
  readonly folders: RuntimeFolders;
  readonly logs: RuntimeLogs;
}

export async function startRuntimeParts(options: RuntimePartsOptions): Promise<RuntimeParts> {
  const { engine, store, queue, transport, dataFolder, holder } = options;
  const { clock = systemClock, log = silentLog } = options;
  const profile = { ...PROFILE_DEFAULTS, ...options.profile };
  const scope = new Scope();
  const runnerFile = join(import.meta.dirname, "../../../runtime-images/python/runner.py");
  const folders = createRuntimeFolders({ dataFolder, runnerFile, caBundle: profile.caBundle });
  const links = scope.use(
    new RuntimeLinks({ transport, folders, frameBytesMax: profile.frameBytesMax, log }),
  );
  const common = { store, links, queue, clock, log };
  const directory = scope.use(await startRuntimeDirectory({ ...common, settings: DIRECTORY_DEFAULTS }));
  const logs = scope.use(new LogKeeper({ engine, clock, log, dataFolder, settings: RUNTIME_LOG_DEFAULTS }));
  const keeper = scope.use(
    await startPoolKeeper({
      ...common,
      engine,
      folders,
      logs,
      holder,
      readPressure: options.readPressure ?? (() => Promise.resolve(undefined)),
      onImageMissing: () => Promise.resolve(),
      profile,
      launch: { ...LAUNCH_DEFAULTS, ...options.launch },
      supervision: { ...SUPERVISION_DEFAULTS, ...options.supervision },
    }),
  );
  return {
    keeper,
    directory,
    links,
    folders,
    logs: createRuntimeLogs({ dataFolder, clock, settings: { pollMs: 50 } }),
    [Symbol.asyncDispose]: () => scope.close(),
  };
}
