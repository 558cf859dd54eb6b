/** The debug port with a real store, real packages and real sockets to a process's own calls, but without an engine. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readConfig } from "../../../src/config.ts";
import { DebugInstallations } from "../../../src/debug/debug-installations.ts";
import { type DebugListenerDeps, startDebugListener } from "../../../src/debug/debug-listener.ts";
import { createDebuggingKeys } from "../../../src/debug/debugging-keys.ts";
import type { DebugSettings } from "../../../src/debug/settings.ts";
import type { TenantId } from "../../../src/domain/ids.ts";
import type { Installation } from "../../../src/domain/installation.ts";
import { OPERATIONS } from "../../../src/domain/operations/operations.ts";
import { createCredentialSource } from "../../../src/installation/credentials/sealed-credentials.ts";
import { createPackageKeeper } from "../../../src/installation/packages/package-keeper.ts";
import { createHostCalls } from "../../../src/invocation/host-calls/host-calls.ts";
import { createLocalHostCalls } from "../../../src/invocation/host-calls/local/local-host-calls.ts";
import {
  INSTALLATIONS_TOPIC,
  openInstallationDirectory,
} from "../../../src/invocation/installation-directory.ts";
import { createInvoker, type Invoker } from "../../../src/invocation/invoke.ts";
import { openDiskPackages } from "../../../src/packages/disk/disk-packages.ts";
import { createPackageReader } from "../../../src/packages/package-reader.ts";
import { DEFAULT_READ_OPTIONS } from "../../../src/packages/read-package.ts";
import { createRuntimeFolders } from "../../../src/runtime/launch/runtime-folders.ts";
import { createRuntimeLogs } from "../../../src/runtime/logs/runtime-logs.ts";
import { createForeignCallAudit } from "../../../src/runtime/reach/foreign-call-audit.ts";
import { startRuntimeDirectory } from "../../../src/runtime/reach/runtime-directory.ts";
import { RuntimeLinks } from "../../../src/runtime/reach/runtime-links.ts";
import { RUNTIME_LOG_DEFAULTS } from "../../../src/runtime/settings.ts";
import { createHostStorage } from "../../../src/storage/plugin-storage.ts";
import type { Store } from "../../../src/store/store.ts";
import { createSocketTransport } from "../../../src/transport/socket/socket-transport.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { Scope } from "../../../src/util/scope.ts";
import { DEBUGGED } from "../clients/debug-peer.ts";
import { collectingLog } from "../doubles/collecting-log.ts";
import { LocalQueue } from "../doubles/local-queue.ts";
import { testKeys } from "../doubles/secrets.ts";
import { storagePlaceIn } from "../doubles/storage.ts";
import { doorSettings } from "./door-settings.ts";
import type { TestDatabase } from "./stores.ts";

const FRAME_BYTES_MAX = 1_048_576;
const RUNNER_FILE = join(import.meta.dirname, "../../../runtime-images/python/runner.py");
const ALONE = { apis: 1, workers: 1, onChange: () => () => undefined };

export interface DebugPortRig extends AsyncDisposable {
  readonly store: Store;
  readonly invoker: Invoker;
  readonly installations: DebugInstallations;
  readonly logged: Record<string, unknown>[];
  readonly processId: string;
  /** 0 while another process has the port. */
  readonly port: number;
  key(tenantId: TenantId): Promise<string>;
  /** The tenant's installation; undefined where it has none. */
  installation(tenantId: TenantId): Promise<Installation | undefined>;
  /** The texts that a call of the tool streams; rejects with its fault. */
  call(tenantId: TenantId, parameters: object): Promise<readonly string[]>;
  /** Tells this process that the installation has changed, as the use cases do. */
  announce(id: string): Promise<void>;
  /** The plugin's log. */
  log(installation: Installation): Promise<readonly string[]>;
  /** Archives and folders of runtimes that are on the disk. */
  files(): Promise<readonly string[]>;
}

let processes = 0;

export async function openDebugPort(
  database: TestDatabase,
  changes: Partial<DebugSettings> & Partial<Pick<DebugListenerDeps, "tls" | "port">> = {},
): Promise<DebugPortRig> {
  const scope = new Scope();
  const logged: Record<string, unknown>[] = [];
  const log = collectingLog(logged);
  const clock = systemClock;
  const queue = new LocalQueue();
  const store = scope.use(await database.open());
  processes += 1;
  const processId = `rig${processes}`;
  await store.processes.announce({ id: processId, role: "serve", host: "here", pid: process.pid }, 60_000);
  const { dataFolder } = database;
  const packagesFolder = join(dataFolder, "storage/plugin_packages");
  const packages = await openDiskPackages({ folder: packagesFolder, stagedAgeMaxMs: 60_000 });
  const bounds = { cpuMsMax: 30_000, timeoutMs: 60_000, heapMbMax: 256, threadsMax: 1 };
  const reader = scope.use(createPackageReader({ archives: DEFAULT_READ_OPTIONS, ...bounds }));
  const folders = createRuntimeFolders({ dataFolder, runnerFile: RUNNER_FILE, caBundle: undefined });
  const transport = scope.use(createSocketTransport({ processId, log }));
  const onForeignCall = createForeignCallAudit({ store, clock, log });
  const links = scope.use(
    new RuntimeLinks({ transport, folders, frameBytesMax: FRAME_BYTES_MAX, onForeignCall, log }),
  );
  const directorySettings = { directoryPollMs: 300, usageReportMs: undefined };
  const runtimes = scope.use(
    await startRuntimeDirectory({ store, links, queue, clock, log, settings: directorySettings }),
  );
  const directory = scope.use(
    await openInstallationDirectory({
      store,
      clock,
      log,
      sharers: ALONE,
      pubSub: queue,
      settings: { directoryPollMs: 300, queueMax: 100 },
    }),
  );
  const storage = createHostStorage({
    place: storagePlaceIn(join(dataFolder, "persistence")),
    log,
    settings: { bytesMax: 1_048_576, keysMax: 100, lockStaleMs: 10_000 },
  });
  const invoker = scope.use(
    createInvoker({
      installations: directory,
      runtimes,
      hostCalls: createHostCalls({
        local: createLocalHostCalls({
          storage,
          credentials: createCredentialSource({ store, keys: testKeys }),
          settings: { depthMax: 4 },
        }),
        platform: undefined,
        log,
        settings: { places: { types: {} }, permissionDefault: "grant", openMax: 32 },
      }),
      buildPriority: { raise: () => Promise.resolve(undefined) },
      clock,
      log,
      settings: doorSettings(),
    }),
  );
  const keeper = createPackageKeeper({ packages, store, reader, clock, log });
  const { limits } = readConfig({});
  const installations = new DebugInstallations({
    ...{ store, packages, reader, keeper, folders, queue, clock, log, limits, processId },
  });
  const keys = createDebuggingKeys({ store, keys: testKeys });
  const { tls, port = 0, ...settings } = changes;
  const listener = scope.use(
    await startDebugListener({
      ...{ keys, installations, store, queue, clock, log, processId, tls },
      logs: { dataFolder, settings: RUNTIME_LOG_DEFAULTS },
      host: "127.0.0.1",
      port,
      settings: {
        connectionsMax: 64,
        tenantConnectionsMax: 5,
        handshakeMs: 10_000,
        registrationMs: 20_000,
        silenceMs: 60_000,
        frameBytesMax: FRAME_BYTES_MAX,
        ...settings,
      },
    }),
  );
  const logs = createRuntimeLogs({ dataFolder, clock, settings: RUNTIME_LOG_DEFAULTS });
  return {
    ...{ store, invoker, installations, logged, processId },
    get port() {
      return listener.port ?? 0;
    },
    key: async (tenantId) => (await keys.issue(tenantId)).key,
    installation: async (tenantId) => (await store.installations.list({ tenantId }, { limit: 1 })).items[0],
    call: (tenantId, parameters) => callTool(invoker, { tenantId, parameters }),
    announce: (id) => queue.publish(INSTALLATIONS_TOPIC, id),
    log: async ({ poolKey = "" }) => {
      const lines: string[] = [];
      for await (const { text } of logs.read(poolKey, { follow: false }, AbortSignal.timeout(5_000)))
        lines.push(text);
      return lines;
    },
    files: async () => [...(await filesOf(packagesFolder)), ...(await filesOf(join(dataFolder, "run")))],
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

const INVOKE_TOOL = OPERATIONS.find(({ type, action }) => type === "tool" && action === "invoke_tool");

function callTool(
  invoker: Invoker,
  { tenantId, parameters }: { readonly tenantId: TenantId; readonly parameters: object },
): Promise<readonly string[]> {
  if (INVOKE_TOOL === undefined) throw new Error("there is no such operation");
  const call = { user_id: "u", type: "tool", action: "invoke_tool", provider: "debugged", tool: "note" };
  const data = JSON.stringify({ ...call, credentials: {}, tool_parameters: parameters });
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const texts: string[] = [];
  invoker.invoke(
    {
      tenantId,
      pluginId: DEBUGGED,
      operation: INVOKE_TOOL,
      content: { form: "wire", userId: "u", data, about: {} },
      requestId: "r",
    },
    {
      bufferedBytes: 0,
      started: () => undefined,
      item: ({ text }) => void texts.push(JSON.parse(text).message.text),
      end: (end) => (end.ok ? resolve(texts) : reject(end.fault)),
    },
  );
  return promise;
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return found.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
}
