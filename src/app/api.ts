import { createHttpApp, type HttpApp } from "../http/app.ts";
import { createHealthApp } from "../http/health-app.ts";
import type { HealthParts } from "../http/routes/health/health.ts";
import { serve } from "../http/server/serve.ts";
import { createBatches } from "../installation/batch/batches.ts";
import { createCredentials } from "../installation/credentials/credentials.ts";
import { createCredentialSource, resealCredentials } from "../installation/credentials/sealed-credentials.ts";
import { createDiskCare } from "../installation/disk/disk-care.ts";
import { createPluginFiles, resealPluginFiles } from "../installation/plugin-files.ts";
import { createInstallationChanges } from "../installation/requests/installation-changes.ts";
import { createBuildPriority } from "../installation/takeover/build-priority.ts";
import { createTaskWatch } from "../installation/task-engine/task-watch.ts";
import { createTenants } from "../installation/tenants.ts";
import type { PackageTransfers } from "../installation/transfer/contracts.ts";
import { createPluginVariables, resealVariables } from "../installation/variables.ts";
import { createHostCalls, type HostCalls } from "../invocation/host-calls/host-calls.ts";
import { createLocalHostCalls } from "../invocation/host-calls/local/local-host-calls.ts";
import { createPlatformHostCalls } from "../invocation/host-calls/platform/platform-host-calls.ts";
import { openInstallationDirectory } from "../invocation/installation-directory.ts";
import { createInvoker, type Invoker } from "../invocation/invoke.ts";
import { readOrMakeAdminKey } from "../keys/admin-key.ts";
import { createKeyring } from "../keys/keyring.ts";
import type { Metrics } from "../observe/metrics/metrics.ts";
import { readReport } from "../runtime/doctor/doctor.ts";
import { createRuntimeLogs } from "../runtime/logs/runtime-logs.ts";
import { startRuntimeDirectory } from "../runtime/reach/runtime-directory.ts";
import type { RuntimeDirectory } from "../runtime/runtimes.ts";
import { RUNTIME_LOG_DEFAULTS } from "../runtime/settings.ts";
import { createHostStorage } from "../storage/plugin-storage.ts";
import { createTenantStorage } from "../storage/tenant-storage.ts";
import { systemClock } from "../util/clock.ts";
import type { Base } from "./base.ts";
import { openDebugPort } from "./debug.ts";
import { openEndpoints } from "./endpoints.ts";
import { createIntake } from "./intake.ts";
import type { Links } from "./links.ts";
import { openInnerApi } from "./platform.ts";
import {
  directorySettings,
  egressSettings,
  HOST_CALL_BOUNDS,
  httpSettings,
  invokerSettings,
  serveSettings,
} from "./settings.ts";
import { storagePlace } from "./storage-place.ts";

const VERSION = "0.1.0";

/** This process's view of running plugins. Resolves once it is linked to each. */
export async function startDirectory(base: Base, { links }: Links): Promise<RuntimeDirectory> {
  const { config, log, scope, store, queue } = base;
  const settings = directorySettings(config);
  return scope.use(await startRuntimeDirectory({ store, links, queue, clock: systemClock, log, settings }));
}

/** Starts the use case of calls: the installations in memory, backwards calls, and the invoker on top of them. */
export async function startInvoker(base: Base, runtimes: RuntimeDirectory): Promise<Invoker> {
  const { config, log, scope, store, queue, processes } = base;
  const installations = scope.use(
    await openInstallationDirectory({
      store,
      clock: systemClock,
      log,
      sharers: processes,
      pubSub: queue,
      settings: { directoryPollMs: config.settings.BERTH_POLL_SECONDS * 1000, queueMax: 100 },
    }),
  );
  return scope.use(
    createInvoker({
      installations,
      runtimes,
      hostCalls: await openHostCalls(base),
      log,
      settings: invokerSettings(config),
      clock: systemClock,
      buildPriority: createBuildPriority({ store, queue }),
    }),
  );
}

/** Plugins' calls back, to the platform where it is configured, else to Berth. */
async function openHostCalls(base: Base): Promise<HostCalls> {
  const { config, log } = base;
  const innerApi = await openInnerApi(base);
  const storage = createHostStorage({
    place: storagePlace(base),
    log,
    settings: {
      bytesMax: config.settings.BERTH_PLUGIN_STORE_MB_MAX * 1_048_576,
      keysMax: 10_000,
      // Writing to a bucket may take several attempts.
      lockStaleMs: config.settings.BERTH_S3_BUCKET === undefined ? 10_000 : 60_000,
    },
  });
  return createHostCalls({
    local: createLocalHostCalls({
      storage,
      credentials: createCredentialSource({ store: base.store, keys: base.secretKeys }),
      settings: HOST_CALL_BOUNDS,
    }),
    platform: innerApi === undefined ? undefined : createPlatformHostCalls(innerApi),
    log,
    settings: {
      ...HOST_CALL_BOUNDS,
      places: config.settings.BERTH_HOST_CALLS,
      permissionDefault: config.settings.BERTH_PLUGIN_PERMISSIONS,
    },
  });
}

export interface DoorParts {
  readonly invoker: Invoker;
  readonly transfers: PackageTransfers;
  readonly metrics: Metrics | undefined;
  readonly links: Links;
}

/** The HTTP APIs, with the keys that open them. */
export async function openDoor(base: Base, doorParts: DoorParts, parts: HealthParts) {
  const { invoker, transfers, metrics, links } = doorParts;
  const { config, log, scope, store, queue, trust, processes, secretKeys: keys } = base;
  const { settings, limits, dataFolder } = config;
  const clock = systemClock;
  const made = settings.BERTH_ADMIN_KEY === undefined ? await readOrMakeAdminKey(dataFolder) : undefined;
  const adminKey = settings.BERTH_ADMIN_KEY ?? made?.key ?? "";
  const keyring = scope.use(
    await createKeyring({
      store,
      adminKey,
      pubSub: queue,
      clock,
      log,
      settings: { keyPollMs: settings.BERTH_POLL_SECONDS * 1000, useWriteMs: 60_000 },
    }),
  );
  const fileLimits = {
    fileBytesMax: settings.BERTH_PLUGIN_FILE_KB_MAX * 1024,
    filesBytesMax: settings.BERTH_PLUGIN_FILES_KB_MAX * 1024,
  };
  for (const reseal of [resealVariables, resealPluginFiles, resealCredentials]) {
    const resealing = reseal({ store, keys, log }, scope.signal);
    scope.add(() => resealing);
  }
  const app = createHttpApp({
    ...createIntake(base),
    ...(await openEndpoints(base, { invoker, keys })),
    variables: createPluginVariables({ store, keys }),
    pluginFiles: createPluginFiles({ store, keys, limits: fileLimits }),
    credentials: createCredentials({ store, keys, invoker }),
    credentialSource: createCredentialSource({ store, keys }),
    changes: createInstallationChanges({ store, queue, log, limits }),
    batches: createBatches({ store, queue, log }),
    tenants: createTenants({ store, queue, log, storage: createTenantStorage(storagePlace(base)) }),
    disk: createDiskCare({ store, queue, clock, settings: { waitMs: 50_000, pollMs: 500 } }),
    readDoctorReport: () => readReport(dataFolder),
    taskWatch: createTaskWatch({ store, queue, clock, pollMs: 500, beforeEnd: () => invoker.refresh() }),
    logs: createRuntimeLogs({ dataFolder, clock, settings: RUNTIME_LOG_DEFAULTS }),
    store,
    trust,
    invoker,
    transfers,
    keyring,
    debug: await openDebugPort(base, links, keys),
    limitsPolicy: limits,
    egressCeiling: egressSettings(config),
    log,
    parts,
    processes,
    metrics,
    settings: httpSettings(config, VERSION),
  });
  return { url: await listen(base, app), adminKey, adminKeyFile: made?.path };
}

/** The HTTP door of a worker: health and metrics only. */
export async function openHealthDoor(
  base: Base,
  { parts, metrics }: { readonly parts: HealthParts } & Pick<DoorParts, "metrics">,
): Promise<string> {
  const { log, config, processes } = base;
  const settings = httpSettings(config, VERSION);
  return await listen(base, createHealthApp({ parts, processes, metrics, log, settings }));
}

async function listen({ config, scope, store, log, role }: Base, app: HttpApp): Promise<string> {
  const { BERTH_HOST: host, BERTH_PORT: port } = config.settings;
  const { url } = scope.use(await serve({ app, host, port, log, settings: serveSettings(config) }));
  log.info({ op: "http.listen", url, instance: store.instanceId, role }, "Berth is ready");
  return url;
}
