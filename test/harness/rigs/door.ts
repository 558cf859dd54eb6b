/** The HTTP door on fakes: a Store in memory that counts what it is asked, and a Runtime that does what a test says. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fault, packageNotUploaded } from "../../../src/domain/fault.ts";
import { protocolFault } from "../../../src/domain/frame.ts";
import { InstallationId, RuntimeId, TaskId, TenantId } from "../../../src/domain/ids.ts";
import type { InstallTask } from "../../../src/domain/install-task.ts";
import type { Installation } from "../../../src/domain/installation.ts";
import type { Limits } from "../../../src/domain/limits.ts";
import { pluginStatus } from "../../../src/domain/plugin-status.ts";
import type { RuntimeRecord } from "../../../src/domain/runtime.ts";
import { SCOPES } from "../../../src/domain/scope.ts";
import type { Source } from "../../../src/domain/source.ts";
import type { InstallationTask, Task, TaskEvent, TenantTask } from "../../../src/domain/task.ts";
import { NO_QUOTAS, type TenantQuotas } from "../../../src/domain/tenant-quotas.ts";
import type { TrustDecision } from "../../../src/domain/trust.ts";
import { openEndpointDirectory } from "../../../src/endpoint/endpoint-directory.ts";
import { createEndpoints } from "../../../src/endpoint/endpoints.ts";
import type { SecretKeeper } from "../../../src/endpoint/secret-settings/secrets.ts";
import { createHttpApp, type HttpApp } from "../../../src/http/app.ts";
import type { HttpAppOptions } from "../../../src/http/options.ts";
import { type Served, type ServeSettings, serve } from "../../../src/http/server/serve.ts";
import { createBatches } from "../../../src/installation/batch/batches.ts";
import type { BundleUploads } from "../../../src/installation/packages/bundle-uploads.ts";
import type { PackageTexts } from "../../../src/installation/packages/package-texts.ts";
import type { TenantUse } from "../../../src/installation/tenants.ts";
import { NO_TRANSFERS } from "../../../src/installation/transfer/transfers.ts";
import type { BuildPriority } from "../../../src/invocation/build-priority.ts";
import { createHostCalls } from "../../../src/invocation/host-calls.ts";
import { openInstallationDirectory } from "../../../src/invocation/installation-directory.ts";
import { createInvoker, type Invoker } from "../../../src/invocation/invoke.ts";
import { createKeyring, type KeyPubSub, type Keyring } from "../../../src/keys/keyring.ts";
import { type Log, silentLog } from "../../../src/observe/log.ts";
import { createMetrics } from "../../../src/observe/metrics/metrics.ts";
import type { RuntimeDirectory, RuntimeLogs } from "../../../src/runtime/runtimes.ts";
import { createHostStorage } from "../../../src/storage/plugin-storage.ts";
import type { EndpointRecord } from "../../../src/store/contracts/endpoints.ts";
import type { Installed } from "../../../src/store/contracts/installed.ts";
import type { ApiKey } from "../../../src/store/contracts/keys.ts";
import type { StoredPackage } from "../../../src/store/contracts/packages.ts";
import type { PlatformInstallation } from "../../../src/store/contracts/platform.ts";
import type { Store } from "../../../src/store/store.ts";
import { parseSessionLine } from "../../../src/transport/codec.ts";
import { Sessions } from "../../../src/transport/socket/sessions.ts";
import type { RuntimeLink, SessionListener } from "../../../src/transport/transport.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { Scope } from "../../../src/util/scope.ts";
import { emptyDisk } from "../doubles/disk-double.ts";
import { endpointRowsIn, testSecrets } from "../doubles/endpoint-rows.ts";
import { LocalQueue } from "../doubles/local-queue.ts";
import { noChanges } from "../doubles/no-changes.ts";
import { platformTasksIn } from "../doubles/platform-tasks-double.ts";
import { storagePlaceIn } from "../doubles/storage.ts";
import { testTrust } from "../doubles/trust.ts";

export const ADMIN_KEY = "berth_3c1d0f9a7b52e846c1d0f9a7b52e";
export const DIFY_KEY = "a key of the platform";
export const DIFY_ADMIN_KEY = "a key of its operator";
export const TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000001");
export const OTHER_TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000002");
const CHECKSUM = "ab".repeat(32);
export const IDENTIFIER = `berth/echo:0.0.1@${CHECKSUM}`;

export const LIMITS: Limits = {
  memoryBytes: 256 * 1024 * 1024,
  storageBytes: 64 * 1024 * 1024,
  cpuMillis: 1000,
  pidsMax: 128,
  concurrencyMax: 10,
  timeoutMs: 30_000,
  replicasMin: 1,
  replicasMax: 1,
};

function aPackage(changes: Partial<StoredPackage> = {}): StoredPackage {
  return {
    identifier: IDENTIFIER,
    pluginId: "berth/echo",
    author: "berth",
    name: "echo",
    version: "0.0.1",
    checksum: CHECKSUM,
    bytes: 1234,
    dialect: "real",
    declaration: {
      author: "berth",
      name: "echo",
      tool: {
        identity: { name: "echo" },
        tools: [{ identity: { name: "say" } }, { identity: { name: "sing" } }],
      },
      model: { provider: "echo", models: [] },
      resource: {
        memory: 1,
        permission: {
          tool: { enabled: true },
          model: { enabled: true, llm: true },
          storage: { enabled: true, size: 1024 },
        },
      },
    },
    providers: [
      { kind: "tool", name: "echo" },
      { kind: "model", name: "echo" },
    ],
    runner: { language: "python", version: "3.12", entrypoint: "main", arch: ["amd64"] },
    limitsAsked: { memoryIsHard: false },
    dependencies: [],
    warnings: ["a warning"],
    createdAt: new Date(0),
    ...changes,
  };
}

const NOT_ASKED: TrustDecision = {
  ...{ identifier: IDENTIFIER, verdict: "unsigned", policy: "off", policyFrom: "instance" },
  decidedAt: new Date(0).toISOString(),
};

export function anInstallation(changes: Partial<Installation> = {}): Installation {
  return {
    id: InstallationId.parse(randomUUID()),
    tenantId: TENANT,
    pluginId: "berth/echo",
    identifier: IDENTIFIER,
    previousIdentifier: undefined,
    previousImageKey: undefined,
    desired: "enabled",
    state: "ready",
    cause: undefined,
    generation: 1,
    limitsAsked: { memoryIsHard: false },
    limitsGranted: LIMITS,
    limitsWanted: {},
    poolKey: "0123456789abcdef",
    nextPoolKey: undefined,
    source: "package",
    meta: {},
    warnings: [],
    trust: undefined,
    createdAt: new Date(0),
    updatedAt: new Date(0),
    ...changes,
  };
}

/** What one fake Session lets a test do and see. */
export interface FakeSession {
  readonly line: Record<string, unknown>;
  readonly data: Record<string, unknown>;
  item(data: unknown, bytes?: number): void;
  error(data: unknown): void;
  invoke(data: unknown): void;
  end(): void;
  /** The inner envelope as text, whatever it is. */
  raw(inner: string): void;
  lost(fault: Fault): void;
  /** Lines sent to the Session after its request. */
  readonly sent: string[];
}

export type Script = (session: FakeSession) => void;

/** A Runtime whose plugin is a function. Frames arrive in a later turn of the event loop, as they do from a socket. */
export class FakeRuntime implements RuntimeDirectory {
  readonly id = RuntimeId.parse("abcdefghij");
  readonly sessions = new Map<string, FakeSession>();
  /** What listeners threw. */
  readonly thrown: unknown[] = [];
  readonly #open = new Sessions((_id, error) => this.thrown.push(error));
  readonly retired: string[] = [];
  script: Script;
  isReady = true;
  waits: { resolve: () => void }[] = [];
  refusal: Fault | undefined;
  readonly link: RuntimeLink;

  constructor(script: Script) {
    this.script = script;
    this.link = {
      runtimeId: this.id,
      up: true,
      ready: true,
      openSessions: 0,
      openSession: (id, line, listener) => this.#begin(id, line, listener),
      send: (line) => {
        const parsed: unknown = JSON.parse(line);
        this.sessions.get(String(Reflect.get(Object(parsed), "session_id")))?.sent.push(line);
      },
      closeSession: (id) => {
        this.#open.close(id);
        this.sessions.delete(id);
      },
      noteExit: () => undefined,
      ping: () => Promise.reject(new Fault("link_lost", "a fake")),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  pick() {
    return this.isReady ? { id: this.id, poolKey: "0123456789abcdef", link: this.link } : undefined;
  }

  async wait(_poolKey: string, signal: AbortSignal) {
    if (this.refusal !== undefined) throw this.refusal;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => reject(signal.reason));
    this.waits.push({ resolve });
    await promise;
    return { id: this.id, poolKey: "0123456789abcdef", link: this.link };
  }

  status() {
    return Promise.resolve({ state: "starting" as const, cause: undefined, nextStartAt: undefined });
  }

  retire(id: string): void {
    this.retired.push(id);
  }

  #begin(id: string, line: string, listener: SessionListener): void {
    const parsed = JSON.parse(line) as Record<string, unknown> & { data: Record<string, unknown> };
    const raw = (inner: string, bytes = inner.length) => {
      const read = parseSessionLine(`{"event":"session","session_id":"${id}","data":${inner}}`);
      if (read.frame === undefined) this.#open.lose(id, protocolFault(read.breach));
      else this.#open.deliver(read, bytes);
    };
    const say = (type: string, data: unknown, bytes: number) => raw(JSON.stringify({ type, data }), bytes);
    const session: FakeSession = {
      line: parsed,
      data: parsed.data,
      sent: [],
      item: (data, bytes = 100) => say("stream", data, bytes),
      error: (data) => say("error", data, 100),
      invoke: (data) => say("invoke", data, 100),
      end: () => say("end", {}, 40),
      raw,
      lost: (fault) => this.#open.lose(id, fault),
    };
    this.#open.open(id, listener);
    this.sessions.set(id, session);
    setImmediate(() => this.script(session));
  }
}

/** Says the tool's parameters back and ends. */
const echo: Script = (session) => {
  session.item({ type: "text", message: { text: JSON.stringify(session.data["tool_parameters"]) } });
  session.end();
};

export interface MemoryStore {
  readonly store: Store;
  readonly calls: string[];
  readonly packages: StoredPackage[];
  readonly installations: Installation[];
  readonly tasks: Task[];
  readonly installTasks: InstallTask[];
  readonly uninstalled: { readonly id: InstallationId; readonly force: boolean }[];
  readonly events: TaskEvent[];
  readonly keys: ApiKey[];
  readonly endpoints: EndpointRecord[];
  readonly quotas: Map<TenantId, TenantQuotas>;
  sharedPool: boolean;
  /** The rows of Installations do not answer before this resolves. */
  hang: Promise<void> | undefined;
}

/** Only what the door asks; everything else throws, so that a test sees it. */
/** One that runs, one of a shared Pool that crashed, one of the Tenant's own that hung. */
function someRuntimes(tenantId: TenantId): readonly RuntimeRecord[] {
  const at = new Date("2026-01-01T00:00:00Z");
  const live = {
    id: RuntimeId.parse("aaaaaaaaaa"),
    poolKey: "pool",
    slot: 0,
    generation: 3,
    containerName: "c",
    containerId: undefined,
    specHash: "h",
    state: "ready",
    startedAt: at,
    readyAt: at,
    endedAt: undefined,
    end: undefined,
    tenantId,
    pluginId: "berth/echo",
    identifier: IDENTIFIER,
  } as const;
  const ended = { ...live, state: "ended", endedAt: at } as const;
  return [
    live,
    { ...ended, tenantId: undefined, end: { reason: "crashed", logs: ["a line"] } },
    { ...ended, end: { reason: "unhealthy", logs: ["a line"] } },
  ];
}

function memoryStore(): MemoryStore {
  const state: Omit<MemoryStore, "store"> = {
    calls: [],
    packages: [aPackage()],
    installations: [anInstallation()],
    tasks: [],
    installTasks: [],
    uninstalled: [],
    events: [],
    keys: [],
    endpoints: [],
    quotas: new Map(),
    sharedPool: false,
    hang: undefined,
  };
  const page = <T>(items: readonly T[]) => Promise.resolve({ items, nextCursor: undefined });
  const installed = (installation: Installation): Installed => ({
    ...{ installation, category: "tool", status: pluginStatus(installation.state, "ready") },
    declaration: state.packages.find(({ identifier }) => identifier === installation.identifier)?.declaration,
  });
  const counted = <T extends object>(name: string, part: Partial<T>): T =>
    new Proxy(part, {
      get(target, key) {
        if (key === "defaultQuotas") return NO_QUOTAS;
        const method: unknown = Reflect.get(target, key);
        if (typeof method !== "function") throw new Error(`the fake store has no ${name}.${String(key)}`);
        return (...args: unknown[]) => {
          state.calls.push(`${name}.${String(key)}`);
          const answer = () => Reflect.apply(method, target, args) as unknown;
          return state.hang !== undefined && name.startsWith("install") ? state.hang.then(answer) : answer();
        };
      },
    }) as T;
  const store: Store = {
    instanceId: "testtest",
    databaseId: "memory",
    packages: counted<Store["packages"]>("packages", {
      find: (identifier) => Promise.resolve(state.packages.find((it) => it.identifier === identifier)),
      list: () => page(state.packages),
      isVisibleTo: (identifier, tenantId) =>
        Promise.resolve(
          state.installations.some((it) => it.identifier === identifier && it.tenantId === tenantId),
        ),
    }),
    installed: counted<Store["installed"]>("installed", {
      find: (id) =>
        Promise.resolve(state.installations.map(installed).find((it) => it.installation.id === id)),
      list: ({ tenantId }) =>
        page(state.installations.filter((it) => it.tenantId === tenantId).map(installed)),
      providers: () => page([]),
      providerNames: () => Promise.resolve([]),
    }),
    installations: counted<Store["installations"]>("installations", {
      find: (id) => Promise.resolve(state.installations.find((it) => it.id === id)),
      findByPlugin: (tenantId, pluginId) =>
        Promise.resolve(
          state.installations.find((it) => it.tenantId === tenantId && it.pluginId === pluginId),
        ),
      isPublished: () => Promise.resolve(true),
      list: ({ tenantId }) => page(state.installations.filter((it) => it.tenantId === tenantId)),
      changedSince: () => Promise.resolve({ items: [...state.installations], removed: [], at: new Date() }),
    }),
    tasks: counted<Store["tasks"]>("tasks", {
      find: (id) => Promise.resolve(state.tasks.find((it) => it.id === id)),
      children: () => Promise.resolve([]),
      latestOf: (id) => Promise.resolve(state.tasks.find((it) => it.installationId === id)),
      list: () => page(state.tasks),
      events: (_id, after) => Promise.resolve(state.events.filter(({ seq }) => seq > after)),
    }),
    images: counted("images", {}),
    readmes: counted("readmes", {}),
    storageSizes: counted("storageSizes", {}),
    platform: counted<Store["platform"]>("platform", {
      findInstallation: (tenantId, pluginId) =>
        Promise.resolve(
          state.installations
            .filter((it) => it.tenantId === tenantId && it.pluginId === pluginId)
            .map(published)
            .at(0),
        ),
      findInstallationById: (tenantId, id) =>
        Promise.resolve(
          state.installations
            .filter((it) => it.tenantId === tenantId && it.id === id)
            .map(published)
            .at(0),
        ),
      installationsOf: (tenantId, pluginIds) =>
        Promise.resolve(
          state.installations
            .filter((it) => it.tenantId === tenantId && pluginIds.includes(it.pluginId))
            .map(published),
        ),
      identifiersShowing: () => Promise.resolve([]),
      declarations: (identifiers) =>
        Promise.resolve(
          new Map(
            state.packages
              .filter(({ identifier }) => identifiers.includes(identifier))
              .map(({ identifier, declaration }) => [identifier, declaration]),
          ),
        ),
    }),
    bundles: counted<Store["bundles"]>("bundles", {
      find: () => Promise.resolve(undefined),
      list: () => page([]),
      isVisibleTo: () => Promise.resolve(false),
    }),
    upgrades: counted("upgrades", {}),
    pools: counted<Store["pools"]>("pools", {
      find: (key) =>
        Promise.resolve({
          key,
          tenantId: state.sharedPool ? undefined : TENANT,
          pluginId: "berth/echo",
          identifier: IDENTIFIER,
          imageKey: "k",
          imageRef: "r",
          runner: { entrypoint: "main" },
          limits: LIMITS,
          uidOffset: 1,
          wanted: true,
          state: "ready",
          cause: undefined,
          nextStartAt: undefined,
          lease: undefined,
          startAsked: 0,
          startAnswered: 0,
          startFault: undefined,
          removalAsked: false,
          retiring: false,
          nextLimits: undefined,
          generationMin: 0,
        }),
    }),
    runtimes: counted<Store["runtimes"]>("runtimes", {
      listOfPlugin: ({ tenantId }) => Promise.resolve(someRuntimes(tenantId)),
    }),
    processes: counted("processes", {}),
    trust: counted<Store["trust"]>("trust", {
      keys: () => Promise.resolve([]),
      policyOf: () => Promise.resolve(undefined),
      signaturesOf: () => Promise.resolve([]),
      admission: () => Promise.resolve(undefined),
      admissions: () => page([]),
    }),
    leases: counted("leases", {}),
    importedImages: counted("importedImages", {}),
    disk: counted("disk", {}),
    takeover: counted("takeover", {}),
    endpoints: counted<Store["endpoints"]>("endpoints", endpointRowsIn(state.endpoints)),
    platformTasks: counted("platformTasks", platformTasksIn(state.installTasks)),
    keys: counted<Store["keys"]>("keys", {
      create: (key) => {
        const { by: _by, scopes = SCOPES, expiresAt, ...rest } = key;
        const times = { createdAt: new Date(), expiresAt, lastUsedAt: undefined, revokedAt: undefined };
        const record = { ...rest, scopes, id: randomUUID(), ...times };
        state.keys.push(record);
        return Promise.resolve(record);
      },
      revoke: (id) => {
        const index = state.keys.findIndex((key) => key.id === id);
        const key = state.keys[index];
        if (key === undefined) return Promise.reject(new Fault("not_found", `There is no key ${id}.`));
        const revoked = { ...key, revokedAt: key.revokedAt ?? new Date() };
        state.keys[index] = revoked;
        return Promise.resolve(revoked);
      },
      list: () => Promise.resolve(state.keys.filter(({ revokedAt }) => revokedAt === undefined)),
      page: ({ tenantId }) => page(state.keys.filter((key) => (tenantId ?? key.tenantId) === key.tenantId)),
      noteUse: () => Promise.resolve(),
    }),
    dependencies: counted<Store["dependencies"]>("dependencies", {
      needsOf: () => Promise.resolve([]),
      dependentsOf: () => Promise.resolve([]),
    }),
    egress: counted<Store["egress"]>("egress", { find: () => Promise.resolve(undefined) }),
    tenants: counted<Store["tenants"]>("tenants", {
      find: () => Promise.resolve(undefined),
      listQuotas: () => Promise.resolve(state.quotas),
      quotas: (id) => {
        const usage = { installations: 1, memoryBytes: 0, diskBytes: 0 };
        return Promise.resolve({ quotas: state.quotas.get(id) ?? NO_QUOTAS, usage });
      },
    }),
    events: counted<Store["events"]>("events", { list: () => page([]) }),
    ping: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return Object.assign(state, { store });
}

/** Its row in the daemon's table. */
function published(installation: Installation): PlatformInstallation {
  const { id, tenantId, pluginId, identifier, source, meta, createdAt, updatedAt } = installation;
  return {
    ...{ id, tenantId, pluginId, identifier, source, meta, createdAt, updatedAt },
    ...{ runtimeType: "local", endpointsSetups: 0, endpointsActive: 0 },
  };
}

export function aTask(installation: Installation, changes: Partial<InstallationTask> = {}): Task {
  return {
    id: TaskId.parse(randomUUID()),
    kind: "install",
    tenantId: installation.tenantId,
    installationId: installation.id,
    identifier: installation.identifier,
    parentId: undefined,
    input: {},
    state: "ready",
    ending: undefined,
    cause: undefined,
    attempt: 1,
    createdAt: new Date(0),
    updatedAt: new Date(0),
    finishedAt: new Date(0),
    ...changes,
  };
}

export interface Door extends AsyncDisposable {
  readonly app: HttpApp;
  readonly memory: MemoryStore;
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

export interface AskOptions {
  readonly key?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** One process that shares its calls with no other. */
const ALONE = { apis: 1, workers: 1, onChange: () => () => undefined };

/** Nothing was there before Berth. */
const NOBODY_WAITS: BuildPriority = { raise: () => Promise.resolve(undefined) };

export interface DoorOptions {
  readonly script?: Script;
  /** In place of the one whose plugin is the script. */
  readonly runtimes?: RuntimeDirectory;
  readonly buildPriority?: BuildPriority;
  /** Beside what the package declares as it is. */
  readonly declaration?: Readonly<Record<string, unknown>>;
  readonly limits?: Partial<Limits>;
  readonly settings?: Partial<{
    startTimeoutMs: number;
    idleTimeoutMs: number;
    overrunGraceMs: number;
    callerBufferBytesMax: number;
    callersBufferBytesMax: number;
    queueMax: number;
    flushTimeoutMs: number;
    drainMs: number;
    pingMs: number;
    documentBytesMax: number;
    answerTimeoutMs: number;
    transferTimeoutMs: number;
    dify: { key: string | undefined; adminKey: string | undefined };
    hookBodyBytesMax: number | undefined;
    hookBodiesBytesMax: number;
    refreshTimeoutMs: number;
  }>;
  readonly serve?: Partial<ServeSettings>;
  readonly log?: Log;
  /** Of Endpoints; by default a key of the tests seals them. */
  readonly secrets?: SecretKeeper;
  /** Real parts in place of the fakes. */
  readonly parts?: Partial<HttpAppOptions>;
  /** Lines of the Installation's log. */
  readonly logs?: (signal: AbortSignal) => AsyncIterable<string>;
}

export async function openDoor(options: DoorOptions = {}): Promise<Door> {
  const scope = new Scope();
  const logged: Record<string, unknown>[] = [];
  const metrics = createMetrics({ ofProcess: false });
  const log = metrics.tap(options.log ?? collectingLog(logged));
  const memory = memoryStore();
  const { declaration } = aPackage();
  memory.packages[0] = aPackage({ declaration: { ...declaration, ...options.declaration } });
  if (options.limits !== undefined) {
    memory.installations[0] = anInstallation({ limitsGranted: { ...LIMITS, ...options.limits } });
  }
  const folder = await mkdtemp(join(tmpdir(), "berth-door-"));
  scope.add(() => rm(folder, { recursive: true, force: true }));
  const settings = {
    startTimeoutMs: 5000,
    idleTimeoutMs: 60_000,
    overrunGraceMs: 1000,
    callerBufferBytesMax: 4 * 1024 * 1024,
    callersBufferBytesMax: 256 * 1024 * 1024,
    queueMax: 100,
    drainMs: 1000,
    pingMs: 15_000,
    flushTimeoutMs: 1000,
    documentBytesMax: 32 * 1024 * 1024,
    declarationBytesMax: 8 * 1024 * 1024,
    publicUrl: undefined,
    answerTimeoutMs: 10_000,
    transferTimeoutMs: 10_000,
    dify: { key: DIFY_KEY, adminKey: DIFY_ADMIN_KEY },
    hookBodyBytesMax: 1024 * 1024,
    hookBodiesBytesMax: 4 * 1024 * 1024,
    tenantBodiesBytesMax: 2 * 1024 * 1024,
    bodiesBytesMax: 3 * 1024 * 1024,
    refreshTimeoutMs: 1000,
    buildWaitersMax: 2,
    ...options.settings,
  };
  const { store } = memory;
  const clock = systemClock;
  const installations = scope.use(
    await openInstallationDirectory({
      store,
      clock,
      log,
      pubSub: { subscribe: () => Promise.resolve({ [Symbol.asyncDispose]: async () => undefined }) },
      sharers: ALONE,
      settings: { directoryPollMs: 600_000, queueMax: settings.queueMax },
    }),
  );
  const runtime = new FakeRuntime(options.script ?? echo);
  const storage = createHostStorage({
    place: storagePlaceIn(folder),
    log,
    settings: { bytesMax: 100 * 1024 * 1024, keysMax: 1000, lockStaleMs: 10_000 },
  });
  const hostCalls = createHostCalls({ storage, log, settings: { openMax: 32, depthMax: 4 } });
  const invoker = scope.use(
    createInvoker({
      installations,
      runtimes: options.runtimes ?? runtime,
      hostCalls,
      buildPriority: options.buildPriority ?? NOBODY_WAITS,
      clock,
      log,
      settings,
    }),
  );
  const keyring = scope.use(
    await createKeyring({
      store,
      adminKey: ADMIN_KEY,
      clock,
      log,
      pubSub: silentPubSub,
      settings: { keyPollMs: 600_000, useWriteMs: 600_000 },
    }),
  );
  const { secrets = testSecrets } = options;
  const endpointDirectory = scope.use(
    await openEndpointDirectory({
      ...{ store, clock, log, secrets, installations: invoker, pubSub: silentPubSub },
      settings: { endpointPollMs: 600_000, endpointsMax: 100, lookupsMax: 4, rereadTimeoutMs: 1000 },
    }),
  );
  const { logs, uploads, requests, taskWatch, tenants } = fakeUseCases(memory, options.logs);
  const app = createHttpApp({
    transfers: NO_TRANSFERS,
    readDoctorReport: () => Promise.resolve(undefined),
    logs,
    uploads,
    bundles: NO_BUNDLES,
    texts: NO_TEXTS,
    decoder: { decode: (identifier) => Promise.reject(packageNotUploaded(identifier)) },
    assets: { find: () => Promise.resolve(undefined) },
    requests,
    taskWatch,
    changes: noChanges(),
    batches: createBatches({ store, queue: new LocalQueue(), log }),
    tenants,
    disk: emptyDisk,
    trust: testTrust(store),
    store,
    invoker,
    endpoints: createEndpoints({ store, secrets, directory: endpointDirectory }),
    endpointDirectory,
    keyring,
    metrics,
    log,
    egressCeiling: { mode: "open", allow: [] },
    limitsPolicy: { memoryBytesFloor: LIMITS.memoryBytes, ceiling: LIMITS, defaults: LIMITS },
    parts: { database: () => store.ping() },
    processes: ALONE,
    settings: {
      ...settings,
      platformVersion: "1.9.0",
      version: "0.1.0",
      packageBytesMax: 1024 * 1024,
      jsonBytesMax: 64 * 1024,
      healthTimeoutMs: 200,
      invokeBytesMax: 1024 * 1024,
    },
    ...options.parts,
  });
  scope.add(() => app[Symbol.dispose]());
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
      settings: {
        headerBytesMax: 16_384,
        headersMax: 100,
        headersTimeoutMs: 10_000,
        requestTimeoutMs: 60_000,
        bodyWindowMs: 10_000,
        bodyWindowBytesMin: 1024,
        connectionsMax: 10_000,
        pipelinedMax: 16,
        requestsPerConnectionMax: 10_000,
        keepAliveTimeoutMs: 5000,
        stallTimeoutMs: 10_000,
        flushTimeoutMs: settings.flushTimeoutMs,
        checkMs: 50,
        drainDelayMs: 0,
        idleLingerMs: 0,
        drainMs: 200,
        lastWordMs: 200,
        ...options.serve,
      },
      log,
    }).then((it) => scope.use(it));
    return served;
  };
  const ask = async (method: string, path: string, asked: AskOptions = {}) =>
    await app.fetch(request(`http://door${path}`, method, asked));
  return {
    app,
    memory,
    runtime,
    invoker,
    keyring,
    logged,
    ask,
    listen,
    received: () => received,
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

export function request(
  url: string,
  method: string,
  { key = ADMIN_KEY, body, headers }: AskOptions = {},
): Request {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Request(url, {
    method,
    headers: {
      ...(key !== "" && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: text }),
  });
}

/** One process, and nobody to tell. */
const silentPubSub: KeyPubSub = {
  publish: () => Promise.resolve(),
  subscribe: () => Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() }),
};

const aTenantUse = (id: TenantId): TenantUse => ({
  id,
  createdAt: new Date(0),
  removingTaskId: undefined,
  installations: { installing: 0, ready: 1, failed: 0, crash_loop: 0, disabled: 0, removing: 0 },
  ...{ packages: 2, packageBytes: 300, keys: 1, runtimes: 1, storageBytes: 40 },
});

const aRemoval = (tenantId: TenantId): TenantTask => ({
  ...aTask(anInstallation({ tenantId }), { state: "queued", finishedAt: undefined }),
  ...{ kind: "remove_tenant", installationId: undefined, identifier: undefined },
});

function collectingLog(into: Record<string, unknown>[]): Log {
  const keep = (fields: object) => void into.push({ ...fields });
  const log: Log = { ...silentLog, info: keep, warn: keep, error: keep, child: () => log };
  return log;
}

async function* oneLine() {
  yield "hello";
}

const NO_BUNDLES: BundleUploads = {
  receive: () => Promise.reject(new Error("this door takes no bundles")),
};
const NO_TEXTS: PackageTexts = {
  asset: () => Promise.resolve(undefined),
  readme: () => Promise.resolve(undefined),
  privacy: () => Promise.resolve(undefined),
};

function fakeUseCases(memory: MemoryStore, lines: DoorOptions["logs"] = oneLine) {
  const logs: RuntimeLogs = {
    async *read(_poolKey, _options, signal) {
      for await (const text of lines(signal)) {
        yield { at: new Date(0), stream: "stderr", runtimeId: RuntimeId.parse("abcdefghij"), text };
      }
    },
  };
  return {
    logs,
    uploads: {
      async receive(body: AsyncIterable<Uint8Array>) {
        let bytes = 0;
        for await (const piece of body) bytes += piece.length;
        if (bytes === 0) throw new Fault("package_not_zip", "The upload is no zip archive.");
        return {
          ...{ created: bytes !== 7, stored: aPackage({ bytes }), limits: { limits: LIMITS, notes: [] } },
          trust: NOT_ASKED,
        };
      },
    },
    requests: {
      install(request: { tenantId: TenantId; identifier: string }) {
        if (!memory.packages.some(({ identifier }) => identifier === request.identifier)) {
          return Promise.reject(new Fault("package_not_found", `There is no package ${request.identifier}.`));
        }
        const installation = anInstallation({ ...request, state: "installing" });
        const task = aTask(installation, { state: "queued", finishedAt: undefined });
        return Promise.resolve({ installation, task, created: true });
      },
      fetch({ tenantId, source }: { tenantId: TenantId; source: Source }) {
        const queued = {
          ...aTask(anInstallation({ tenantId })),
          state: "queued",
          finishedAt: undefined,
        } as const;
        const ofTenant = { kind: "fetch", installationId: undefined, identifier: undefined } as const;
        return Promise.resolve({ task: { ...queued, ...ofTenant, input: { source } }, created: true });
      },
      bundle: ({ bundle }: { bundle: string }) =>
        Promise.reject(new Fault("bundle_not_found", `There is no ${bundle}.`)),
      cancel(id: TaskId) {
        const task = memory.tasks.find((it) => it.id === id);
        return task === undefined
          ? Promise.reject(new Fault("task_not_found", "gone"))
          : Promise.resolve(task);
      },
      uninstall(id: InstallationId, request: { readonly force?: boolean } = {}) {
        memory.uninstalled.push({ id, force: request.force === true });
        const installation = anInstallation({ id, state: "removing", desired: "removed" });
        return Promise.resolve({
          installation,
          task: aTask(installation, { kind: "uninstall" }),
          created: true,
        });
      },
    },
    tenants: {
      list: () => Promise.resolve({ items: [aTenantUse(TENANT)], nextCursor: undefined }),
      get(id: TenantId) {
        if (id === TENANT) return Promise.resolve(aTenantUse(id));
        return Promise.reject(new Fault("not_found", `There is no tenant ${id}.`));
      },
      remove: (id: TenantId) => Promise.resolve({ task: aRemoval(id), created: true }),
    },
    taskWatch: {
      async *events(_id: TaskId, after: number) {
        yield* memory.events.filter(({ seq }) => seq > after);
      },
    },
  };
}

/** One event of a stream. */
export interface ReadEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: unknown;
}

/** All events of a stream that has ended. */
export function parseEvents(text: string): ReadEvent[] {
  return text
    .split("\n\n")
    .filter((block) => block.includes("event: "))
    .map((block) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
      return {
        event: field("event") ?? "",
        id: field("id"),
        data: JSON.parse(field("data") ?? "null") as unknown,
      };
    });
}
