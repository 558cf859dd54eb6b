/** The HTTP server on doubles: its store, its use cases and its runtime answer what a test says. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageNotUploaded } from "../../../src/domain/fault.ts";
import type { HostCallPlaces } from "../../../src/domain/host-call.ts";
import type { Limits } from "../../../src/domain/limits.ts";
import { openEndpointDirectory } from "../../../src/endpoint/endpoint-directory.ts";
import { createEndpoints } from "../../../src/endpoint/endpoints.ts";
import type { SecretKeeper } from "../../../src/endpoint/secret-settings/secrets.ts";
import { createHttpApp, type HttpApp } from "../../../src/http/app.ts";
import type { HttpAppOptions } from "../../../src/http/options.ts";
import { type Served, type ServeSettings, serve } from "../../../src/http/server/serve.ts";
import { createBatches } from "../../../src/installation/batch/batches.ts";
import { createCredentials } from "../../../src/installation/credentials/credentials.ts";
import { createCredentialSource } from "../../../src/installation/credentials/sealed-credentials.ts";
import { NO_TRANSFERS } from "../../../src/installation/transfer/transfers.ts";
import { createPluginVariables } from "../../../src/installation/variables.ts";
import type { BuildPriority } from "../../../src/invocation/build-priority.ts";
import { createHostCalls } from "../../../src/invocation/host-calls/host-calls.ts";
import { createLocalHostCalls } from "../../../src/invocation/host-calls/local/local-host-calls.ts";
import { createPlatformHostCalls } from "../../../src/invocation/host-calls/platform/platform-host-calls.ts";
import { openInstallationDirectory } from "../../../src/invocation/installation-directory.ts";
import { createInvoker, type Invoker } from "../../../src/invocation/invoke.ts";
import { createKeyring, type Keyring } from "../../../src/keys/keyring.ts";
import type { Log } from "../../../src/observe/log.ts";
import { createMetrics } from "../../../src/observe/metrics/metrics.ts";
import type { InnerApi } from "../../../src/platform/inner-api.ts";
import type { RuntimeDirectory } from "../../../src/runtime/runtimes.ts";
import { createHostStorage } from "../../../src/storage/plugin-storage.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { Scope } from "../../../src/util/scope.ts";
import { aStoredPackage } from "../builders/a-stored-package.ts";
import { anInstallation, LIMITS } from "../builders/an-installation.ts";
import { type AskOptions, request } from "../clients/door-request.ts";
import { collectingLog } from "../doubles/collecting-log.ts";
import { type DoorStore, doorStore } from "../doubles/door-store.ts";
import { emptyDisk } from "../doubles/empty-disk.ts";
import { echoParameters, FakeRuntime, type Script } from "../doubles/fake-runtime.ts";
import { LocalQueue } from "../doubles/local-queue.ts";
import { noChanges } from "../doubles/no-changes.ts";
import { testKeys, testSecrets } from "../doubles/secrets.ts";
import { silentPubSub } from "../doubles/silent-pub-sub.ts";
import { storagePlaceIn } from "../doubles/storage.ts";
import { testTrust } from "../doubles/trust.ts";
import { cannedUseCases, type UninstallSeen } from "../doubles/use-cases.ts";
import { ADMIN_KEY } from "../samples/callers.ts";
import { type DoorSettings, doorSettings, serveSettings } from "./door-settings.ts";

export interface Door extends AsyncDisposable {
  readonly app: HttpApp;
  readonly memory: DoorStore;
  readonly uninstalled: readonly UninstallSeen[];
  readonly runtime: FakeRuntime;
  readonly invoker: Invoker;
  readonly keyring: Keyring;
  readonly logged: Record<string, unknown>[];
  /** Asks without a network. */
  ask(method: string, path: string, options?: AskOptions): Promise<Response>;
  /** Requests that have come over the network. */
  received(): number;
  /** Starts a real server, once. */
  listen(): Promise<Served>;
}

export interface DoorOptions {
  readonly script?: Script;
  /** In place of the one whose plugin is the script. */
  readonly runtimes?: RuntimeDirectory;
  readonly buildPriority?: BuildPriority;
  /** Beside what the package declares as it is. */
  readonly declaration?: Readonly<Record<string, unknown>>;
  readonly limits?: Partial<Limits>;
  readonly settings?: Partial<DoorSettings>;
  readonly serve?: Partial<ServeSettings>;
  readonly log?: Log;
  /** Serves calls back, as far as `places` says; by default there is no platform. */
  readonly innerApi?: InnerApi;
  readonly places?: HostCallPlaces;
  /** Of endpoints; by default a key of the tests seals them. */
  readonly secrets?: SecretKeeper;
  /** Real parts in place of the doubles. */
  readonly parts?: Partial<HttpAppOptions>;
  /** Lines of the installation's log. */
  readonly logs?: (signal: AbortSignal) => AsyncIterable<string>;
}

/** One process that shares its calls with no other. */
const ALONE = { apis: 1, workers: 1, onChange: () => () => undefined };

/** No daemon was there before Berth. */
const NOTHING_TO_BUILD_FIRST: BuildPriority = { raise: () => Promise.resolve(undefined) };

export async function openDoor(options: DoorOptions = {}): Promise<Door> {
  const scope = new Scope();
  const logged: Record<string, unknown>[] = [];
  const metrics = createMetrics({ ofProcess: false });
  const log = metrics.tap(options.log ?? collectingLog(logged));
  const memory = doorStoreOf(options);
  const runtime = new FakeRuntime(options.script ?? echoParameters);
  const uninstalled: UninstallSeen[] = [];
  const base = { options, scope, memory, runtime, log, settings: doorSettings(options.settings) };
  const calls = await openCalls(base);
  const app = createHttpApp({
    ...httpAppOptions(base, calls),
    ...cannedUseCases({ state: memory, uninstalled, logs: options.logs }),
    metrics,
    ...options.parts,
  });
  scope.add(() => app[Symbol.dispose]());
  const server = serverOf(base, app);
  return {
    app,
    memory,
    uninstalled,
    runtime,
    invoker: calls.invoker,
    keyring: calls.keyring,
    logged,
    ask: async (method, path, asked = {}) => await app.fetch(request(`http://door${path}`, method, asked)),
    ...server,
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

interface Base {
  readonly options: DoorOptions;
  readonly scope: Scope;
  readonly memory: DoorStore;
  readonly runtime: FakeRuntime;
  readonly log: Log;
  readonly settings: ReturnType<typeof doorSettings>;
}

function doorStoreOf({ declaration: more, limits }: DoorOptions): DoorStore {
  const memory = doorStore();
  const { declaration } = aStoredPackage();
  memory.packages[0] = aStoredPackage({ declaration: { ...declaration, ...more } });
  if (limits !== undefined) {
    memory.installations[0] = anInstallation({ limitsGranted: { ...LIMITS, ...limits } });
  }
  return memory;
}

/** What a call goes through, as `app.ts` puts it together. */
async function openCalls({ options, scope, memory: { store }, runtime, log, settings }: Base) {
  const folder = await mkdtemp(join(tmpdir(), "berth-door-"));
  scope.add(() => rm(folder, { recursive: true, force: true }));
  const common = { store, clock: systemClock, log, pubSub: silentPubSub };
  const installations = scope.use(
    await openInstallationDirectory({
      ...common,
      sharers: ALONE,
      settings: { directoryPollMs: 600_000, queueMax: settings.queueMax },
    }),
  );
  const storage = createHostStorage({
    place: storagePlaceIn(folder),
    log,
    settings: { bytesMax: 100 * 1024 * 1024, keysMax: 1000, lockStaleMs: 10_000 },
  });
  const credentialSource = createCredentialSource({ store, keys: testKeys });
  const { innerApi, places = { types: {} } } = options;
  const hostCalls = createHostCalls({
    local: createLocalHostCalls({ storage, credentials: credentialSource, settings: { depthMax: 4 } }),
    platform: innerApi === undefined ? undefined : createPlatformHostCalls(innerApi),
    log,
    settings: { places, openMax: 32, permissionDefault: settings.permissionDefault },
  });
  const invoker = scope.use(
    createInvoker({
      installations,
      runtimes: options.runtimes ?? runtime,
      hostCalls,
      buildPriority: options.buildPriority ?? NOTHING_TO_BUILD_FIRST,
      clock: systemClock,
      log,
      settings,
    }),
  );
  const keyring = scope.use(
    await createKeyring({
      ...common,
      adminKey: ADMIN_KEY,
      settings: { keyPollMs: 600_000, useWriteMs: 600_000 },
    }),
  );
  const { secrets = testSecrets } = options;
  const endpointDirectory = scope.use(
    await openEndpointDirectory({
      ...common,
      secrets,
      installations: invoker,
      settings: { endpointPollMs: 600_000, endpointsMax: 100, lookupsMax: 4, rereadTimeoutMs: 1000 },
    }),
  );
  const endpoints = createEndpoints({ store, secrets, directory: endpointDirectory, settings });
  const credentials = createCredentials({ store, keys: testKeys, invoker });
  return { invoker, keyring, endpoints, endpointDirectory, credentials, credentialSource };
}

/** Of every tenant. */
const DEBUGGING_KEY = "3f1d2c4b-5a69-4788-9a0b-1c2d3e4f5061";

function httpAppOptions(
  { memory: { store }, log, settings }: Base,
  calls: Awaited<ReturnType<typeof openCalls>>,
): Omit<HttpAppOptions, keyof ReturnType<typeof cannedUseCases> | "metrics"> {
  return {
    ...calls,
    store,
    log,
    transfers: NO_TRANSFERS,
    readDoctorReport: () => Promise.resolve(undefined),
    decoder: { decode: (identifier) => Promise.reject(packageNotUploaded(identifier)) },
    assets: { find: () => Promise.resolve(undefined) },
    changes: noChanges(),
    variables: createPluginVariables({ store, keys: testKeys }),
    batches: createBatches({ store, queue: new LocalQueue(), log }),
    disk: emptyDisk,
    trust: testTrust(store),
    debug: {
      keys: { issue: () => Promise.resolve({ key: DEBUGGING_KEY, expiresAt: new Date(0) }) },
      host: "127.0.0.1",
      port: 5003,
      isTls: false,
    },
    egressCeiling: { mode: "open", allow: [] },
    limitsPolicy: { memoryBytesFloor: LIMITS.memoryBytes, ceiling: LIMITS, defaults: LIMITS },
    parts: { database: () => store.ping() },
    processes: ALONE,
    settings,
  };
}

function serverOf({ options, scope, log, settings }: Base, app: HttpApp): Pick<Door, "listen" | "received"> {
  let served: Promise<Served> | undefined;
  let received = 0;
  const counted: HttpApp["fetch"] = (asked, env) => {
    received++;
    return app.fetch(asked, env);
  };
  const listen = () => {
    served ??= serve({
      app: { ...app, fetch: counted },
      host: "127.0.0.1",
      port: 0,
      settings: { ...serveSettings(settings), ...options.serve },
      log,
    }).then((it) => scope.use(it));
    return served;
  };
  return { listen, received: () => received };
}
