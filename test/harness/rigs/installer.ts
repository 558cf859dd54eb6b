/** What an install needs, for one test: a store, an engine, packages, and workers that a test runs by hand. */
import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import type { Fault } from "../../../src/domain/fault.ts";
import { type TaskId, TenantId } from "../../../src/domain/ids.ts";
import type { Limits } from "../../../src/domain/limits.ts";
import type { RuntimeRecord } from "../../../src/domain/runtime.ts";
import type { TaskEvent } from "../../../src/domain/task.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import type { InstallationRequests } from "../../../src/installation/contracts.ts";
import { createPackageKeeper } from "../../../src/installation/packages/package-keeper.ts";
import { createPackageUploads } from "../../../src/installation/packages/package-uploads.ts";
import { createInstallationRequests } from "../../../src/installation/requests/installation-requests.ts";
import { createStepTable, type StepTableDeps } from "../../../src/installation/steps/step-table.ts";
import { TASK_RUNNER_DEFAULTS } from "../../../src/installation/task-engine/runner-deps.ts";
import { createTaskHandler } from "../../../src/installation/task-engine/task-runner.ts";
import { silentLog } from "../../../src/observe/log.ts";
import { packFolder } from "../../../src/packages/archive/pack.ts";
import { openDiskPackages } from "../../../src/packages/disk/disk-packages.ts";
import { createPackageReader, type PackageReader } from "../../../src/packages/package-reader.ts";
import type { PackageStore } from "../../../src/packages/package-store.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../../../src/packages/read-package.ts";
import type { PoolKeeper } from "../../../src/runtime/runtimes.ts";
import { createTenantStorage } from "../../../src/storage/tenant-storage.ts";
import type { Store } from "../../../src/store/store.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { Scope } from "../../../src/util/scope.ts";
import { LocalQueue } from "../doubles/local-queue.ts";
import { storagePlaceIn } from "../doubles/storage.ts";
import { testTrust } from "../doubles/trust.ts";
import { buildSettings, removeInstance, testEngine } from "./build.ts";
import type { TestDatabase } from "./stores.ts";

const LIMITS: Limits = {
  memoryBytes: 256 << 20,
  storageBytes: 64 << 20,
  cpuMillis: 1000,
  pidsMax: 128,
  concurrencyMax: 10,
  timeoutMs: 30_000,
  replicasMin: 1,
  replicasMax: 1,
};
const POLICY = { memoryBytesFloor: 256 << 20, ceiling: LIMITS, defaults: LIMITS };

/** The keeper of pools: answers that a pool is ready, or what the test tells it to. */
export class KeeperDouble implements PoolKeeper {
  readonly started: string[] = [];
  failure: Fault | undefined;

  async ensureReady(poolKey: string, _options: object, signal: AbortSignal): Promise<RuntimeRecord> {
    signal.throwIfAborted();
    this.started.push(poolKey);
    if (this.failure !== undefined) throw this.failure;
    return { poolKey } as unknown as RuntimeRecord;
  }

  async replace(poolKey: string): Promise<readonly RuntimeRecord[]> {
    this.started.push(poolKey);
    if (this.failure !== undefined) throw this.failure;
    return [];
  }

  async stopIfIdle(): Promise<boolean> {
    return true;
  }

  async removeIfUnused(): Promise<void> {}
}

export interface TestWorker {
  readonly keeper: KeeperDouble;
  readonly queue: LocalQueue;
  readonly requests: InstallationRequests;
  run(taskId: TaskId, signal?: AbortSignal): Promise<void>;
}

export type WorkerOptions = Partial<Omit<StepTableDeps, "queue" | "keeper">> & {
  readonly queue?: LocalQueue;
  /** Of the task and of its builds. */
  readonly leaseMs?: number;
};

export interface UploadOptions {
  readonly requirements?: string;
  readonly warnings?: readonly string[];
}

export interface InstallRig extends AsyncDisposable {
  readonly store: Store;
  readonly engine: Engine;
  readonly packages: PackageStore;
  readonly folder: string;
  /** Packs, keeps and records a package of its own; answers its identifier. */
  upload(options?: UploadOptions): Promise<string>;
  worker(options?: WorkerOptions): TestWorker;
  events(taskId: TaskId): Promise<readonly TaskEvent[]>;
  /** Names of the containers that are there. */
  containers(): Promise<readonly string[]>;
}

export const aTenant = () => TenantId.parse(randomUUID());

export const progressOf = (events: readonly TaskEvent[]) =>
  events.flatMap((event) => (event.type === "progress" ? [event.message] : []));

/** One rig on one empty database for all tests of the block that calls this. */
export function useInstallRig(make: () => Promise<TestDatabase>, opened: (rig: InstallRig) => void): void {
  const scope = new Scope();
  beforeAll(async () => {
    const database = scope.use(await make());
    opened(scope.use(await openInstallRig(database)));
  });
  afterAll(() => scope.close());
}

async function openInstallRig(database: TestDatabase): Promise<InstallRig> {
  const scope = new Scope();
  const engine = scope.use(testEngine());
  const store = scope.use(await database.open());
  scope.add(() => removeInstance(engine, store.instanceId));
  const folder = database.dataFolder;
  const packages = await openDiskPackages({
    folder: join(folder, "storage/plugin_packages"),
    stagedAgeMaxMs: 60_000,
  });
  const reader = scope.use(
    createPackageReader({
      archives: DEFAULT_READ_OPTIONS,
      cpuMsMax: 30_000,
      timeoutMs: 60_000,
      heapMbMax: 256,
      threadsMax: 2,
    }),
  );
  const rig = { store, engine, packages, reader, folder };
  let uploads = 0;
  return {
    ...rig,
    upload: (options = {}) => {
      uploads += 1;
      return upload(rig, `plugin_${uploads}`, options);
    },
    worker: (options = {}) => createWorker(rig, options),
    events: (taskId) => store.tasks.events(taskId, 0),
    containers: async () => {
      const labels = { "berth.instance": store.instanceId };
      return (await engine.listContainers(labels, AbortSignal.timeout(10_000))).map(({ name }) => name);
    },
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

type RigParts = Pick<InstallRig, "store" | "engine" | "packages" | "folder"> & {
  readonly reader: PackageReader;
};

function createWorker(
  { store, engine, packages, reader, folder }: RigParts,
  options: WorkerOptions,
): TestWorker {
  const { queue = new LocalQueue(), leaseMs = 10_000, ...deps } = options;
  const keeper = new KeeperDouble();
  // Long polls: the queue tells at once, and a database that is asked all the time has no time for renewals.
  const pollMs = 250;
  const trust = testTrust(store);
  const requests = createInstallationRequests({ store, queue, limits: POLICY, log: silentLog });
  const steps = {
    requests,
    uploads: createPackageUploads({
      packages,
      store,
      clock: systemClock,
      log: silentLog,
      limits: POLICY,
      reader,
      trust,
      keeper: createPackageKeeper({ packages, store, reader, clock: systemClock, log: silentLog }),
      bytesMax: 50 << 20,
    }),
    sources: { fetch: () => Promise.reject(new Error("this test fetches nothing")) },
    engine,
    store,
    clock: systemClock,
    log: silentLog,
    instanceId: store.instanceId,
    cleanupMs: 10_000,
    settings: buildSettings(folder),
    packageStore: packages,
    storage: createTenantStorage(storagePlaceIn(folder, store.storageSizes)),
    dataFolder: folder,
    archives: DEFAULT_READ_OPTIONS,
    reader,
    trust,
    isolation: { default: "tenant", plugins: {} } as const,
    sharedLimits: LIMITS,
    limits: POLICY,
    ...deps,
    queue,
    keeper,
    leaseMs,
    pollMs,
  };
  const handler = createTaskHandler({
    store: steps.store,
    clock: steps.clock,
    log: steps.log,
    queue,
    worker: `worker-${randomUUID()}`,
    tasks: { ...TASK_RUNNER_DEFAULTS, leaseMs, pollMs, retryFirstMs: 10, retriesMax: 1 },
    steps: createStepTable(steps),
  });
  return {
    keeper,
    queue,
    requests,
    run: (taskId, signal = AbortSignal.timeout(60_000)) => handler({ taskId, attempt: 0 }, signal),
  };
}

async function upload(
  { store, packages, folder }: RigParts,
  name: string,
  { requirements, warnings }: UploadOptions,
): Promise<string> {
  const source = join(folder, `source-${name}`);
  for (const part of ["_assets", "provider", "tools"]) await mkdir(join(source, part), { recursive: true });
  const files = {
    ...packageFiles(name),
    ...(requirements === undefined ? {} : { "requirements.txt": requirements }),
  };
  for (const [path, text] of Object.entries(files)) await writeFile(join(source, path), text);
  const staged = await packages.stage();
  await packFolder({ folder: source, output: staged.path });
  const pkg = await readPackage(staged.path, new Date(), DEFAULT_READ_OPTIONS);
  await packages.keep(staged, pkg.identifier);
  await store.packages.put({ ...pkg, warnings: [...pkg.warnings, ...(warnings ?? [])] }, {});
  return pkg.identifier;
}

function packageFiles(name: string): Record<string, string> {
  const label = "label: {en_US: x}\n";
  return {
    "_assets/icon.svg": "<svg/>",
    "manifest.yaml":
      `version: 0.0.1\ntype: plugin\nauthor: tests\nname: ${name}\n${label}description: {en_US: x}\nicon: icon.svg\n` +
      "created_at: 2026-01-01T00:00:00Z\nresource: {memory: 268435456}\nplugins: {tools: [provider/p.yaml]}\n" +
      "meta: {version: 0.0.1, arch: [amd64, arm64], runner: {language: python, version: '3.12', entrypoint: main}}\n",
    "provider/p.yaml":
      "identity: {author: tests, name: p, label: {en_US: x}, description: {en_US: x}, icon: icon.svg}\n" +
      "tools: [tools/one.yaml]\nextra: {python: {source: provider/p.py}}\n",
    "provider/p.py": "",
    "tools/one.yaml":
      "identity: {name: one, author: tests, label: {en_US: one}}\ndescription: {human: {en_US: x}, llm: x}\n" +
      "parameters: []\nextra: {python: {source: tools/one.py}}\n",
    "tools/one.py": "ONE = 1\n",
    "main.py": "print('here')\n",
  };
}
