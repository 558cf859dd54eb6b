import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import { type TaskId, TenantId } from "../../src/domain/ids.ts";
import type { Limits } from "../../src/domain/limits.ts";
import type { RuntimeRecord } from "../../src/domain/runtime.ts";
import type { TaskEvent, TaskStep } from "../../src/domain/task.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createInstallationRequests } from "../../src/installation/install.ts";
import { createTaskHandler, TASK_RUNNER_DEFAULTS } from "../../src/installation/task-runner.ts";
import { createTaskWatch } from "../../src/installation/task-watch.ts";
import { silentLog } from "../../src/observe/log.ts";
import { openDiskPackages } from "../../src/packages/disk/disk-packages.ts";
import { packFolder } from "../../src/packages/pack.ts";
import type { PackageStore } from "../../src/packages/package-store.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../../src/packages/read-package.ts";
import type { PoolKeeper } from "../../src/runtime/runtimes.ts";
import { openStore } from "../../src/store/prisma/open.ts";
import type { Store } from "../../src/store/store.ts";
import { systemClock } from "../../src/util/clock.ts";
import { buildSettings, removeInstance, testEngine } from "../harness/build.ts";
import { LocalQueue } from "../harness/local-queue.ts";

const LIMITS: Limits = {
  memoryBytes: 256 << 20,
  storageBytes: 64 << 20,
  cpuMillis: 1000,
  pidsMax: 128,
  concurrencyMax: 10,
  timeoutMs: 30_000,
};
const POLICY = { memoryBytesFloor: 256 << 20, ceiling: LIMITS, defaults: LIMITS };

/** The far side of the contract: says that a Pool is ready, or what the test makes it say. */
class KeeperDouble implements PoolKeeper {
  readonly started: string[] = [];
  readonly removed: string[] = [];
  failure: Fault | undefined;

  async ensureReady(poolKey: string, _options: object, signal: AbortSignal): Promise<RuntimeRecord> {
    signal.throwIfAborted();
    this.started.push(poolKey);
    if (this.failure !== undefined) throw this.failure;
    return { poolKey } as unknown as RuntimeRecord;
  }

  async removeIfUnused(poolKey: string): Promise<void> {
    this.removed.push(poolKey);
  }
}

let folder: string;
let engine: Engine;
let store: Store;
let packageStore: PackageStore;
let identifiers = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-install-"));
  engine = testEngine();
  store = await openStore({
    dataFolder: folder,
    log: silentLog,
    poolMax: 4,
    statementTimeoutMs: 20_000,
  });
  packageStore = await openDiskPackages({ folder: join(folder, "packages"), stagedAgeMaxMs: 60_000 });
});
afterAll(async () => {
  await removeInstance(engine, store.instanceId);
  await store[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** Packs, keeps and records a package without dependencies; answers its identifier. */
async function anUploadedPackage(): Promise<string> {
  identifiers += 1;
  const source = join(folder, `source-${identifiers}`);
  for (const folder of ["_assets", "provider", "tools"])
    await mkdir(join(source, folder), { recursive: true });
  const name = `plugin_${identifiers}`;
  const label = "label: {en_US: x}\n";
  const files = {
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
  for (const [path, text] of Object.entries(files)) await writeFile(join(source, path), text);
  const staged = await packageStore.stage();
  await packFolder({ folder: source, output: staged.path });
  const pkg = await readPackage(staged.path, new Date(), DEFAULT_READ_OPTIONS);
  await packageStore.keep(staged, pkg.identifier);
  await store.packages.put(pkg, {});
  return pkg.identifier;
}

function worker(keeper = new KeeperDouble(), queue = new LocalQueue()) {
  const handler = createTaskHandler({
    engine,
    store,
    queue,
    clock: systemClock,
    log: silentLog,
    worker: `worker-${randomUUID()}`,
    instanceId: store.instanceId,
    leaseMs: 1_000,
    pollMs: 50,
    cleanupMs: 10_000,
    settings: buildSettings(folder),
    packageStore,
    archives: DEFAULT_READ_OPTIONS,
    keeper,
    isolation: { default: "tenant", plugins: {} },
    sharedLimits: LIMITS,
    tasks: { ...TASK_RUNNER_DEFAULTS, leaseMs: 1_000, pollMs: 50, retryFirstMs: 10, retriesMax: 1 },
  });
  const requests = createInstallationRequests({ store, queue, limits: POLICY, log: silentLog });
  const run = (taskId: TaskId, signal = AbortSignal.timeout(60_000)) =>
    handler({ taskId, attempt: 0 }, signal);
  return { keeper, queue, run, requests };
}

const aTenant = () => TenantId.parse(randomUUID());

async function eventsOf(taskId: TaskId): Promise<readonly TaskEvent[]> {
  return store.tasks.events(taskId, 0);
}
const messages = (events: readonly TaskEvent[]) =>
  events.flatMap((event) => (event.type === "progress" ? [event.message] : []));

test("an install walks its steps to ready, and a second tenant's builds nothing", async () => {
  const identifier = await anUploadedPackage();
  const { run, requests, queue, keeper } = worker();
  const first = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
  expect(queue.jobs).toHaveLength(1);
  await run(first.task.id);
  const watch = createTaskWatch({ store, queue, clock: systemClock, pollMs: 50 });
  const events = await Array.fromAsync(watch.events(first.task.id, 0, AbortSignal.timeout(10_000)));
  expect(events.flatMap((event) => (event.type === "step" ? [event.step] : []))).toEqual(
    expect.arrayContaining(["fetching", "verifying", "resolving", "building", "starting", "ready"]),
  );
  expect(events.at(-1)).toMatchObject({ type: "end", state: "ready" });
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, at) => at + 1));

  const second = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
  await run(second.task.id);
  expect(messages(await eventsOf(second.task.id))).toEqual(["the image was there already"]);
  expect(new Set(keeper.started).size).toBe(2);
});

test("ten tenants at once share one build and have ten Pools", async () => {
  const identifier = await anUploadedPackage();
  const { run, requests, keeper } = worker();
  const accepted = await Promise.all(
    Array.from({ length: 10 }, () => requests.install({ tenantId: aTenant(), identifier, asTenant: false })),
  );
  await Promise.all(accepted.map(({ task }) => run(task.id)));
  const all = await Promise.all(accepted.map(({ task }) => eventsOf(task.id)));
  expect(all.filter((events) => messages(events).includes("the image is built"))).toHaveLength(1);
  expect(all.map((events) => events.at(-1))).toEqual(
    Array.from({ length: 10 }, () => expect.objectContaining({ type: "end", state: "ready" })),
  );
  expect(new Set(keeper.started).size).toBe(10);
});

test.each<TaskStep>(["fetching", "verifying", "resolving", "building", "starting"])(
  "a worker that ends in the step %s is followed by one that goes on to ready",
  async (step) => {
    const identifier = await anUploadedPackage();
    const queue = new LocalQueue();
    const { run, requests } = worker(new KeeperDouble(), queue);
    const { task } = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
    const stop = new AbortController();
    await queue.subscribe(`task.${task.id}`, (message) => {
      if (message === step) stop.abort(new Fault("shutting_down", "killed"));
    });
    await run(task.id, stop.signal);
    expect(stop.signal.aborted).toBe(true);
    expect((await store.tasks.find(task.id))?.finishedAt).toBeUndefined();
    await worker().run(task.id);
    expect((await eventsOf(task.id)).at(-1)).toMatchObject({ type: "end", state: "ready" });
    const labels = { "berth.instance": store.instanceId };
    expect(await engine.listContainers(labels, AbortSignal.timeout(10_000))).toEqual([]);
  },
);

test("a start that fails for good fails the task with its cause, and the Pool is wanted no more", async () => {
  const identifier = await anUploadedPackage();
  const { run, requests, keeper } = worker();
  keeper.failure = new Fault("start_crashed", "it crashed", { details: { log: ["Traceback"] } });
  const { task, installation } = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
  await run(task.id);
  expect(await store.tasks.find(task.id)).toMatchObject({
    state: "failed",
    cause: { code: "start_crashed" },
  });
  expect(await store.installations.find(installation.id)).toMatchObject({ state: "failed" });
  expect((await store.pools.find(keeper.started[0] ?? ""))?.wanted).toBe(false);
});

test("a cause that may pass is tried again, then given up", async () => {
  const identifier = await anUploadedPackage();
  const { run, requests, keeper } = worker();
  keeper.failure = new Fault("engine_unavailable", "away");
  const { task } = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
  await run(task.id);
  expect((await eventsOf(task.id)).at(-1)).toMatchObject({
    type: "retry",
    cause: { code: "engine_unavailable" },
  });
  await expect
    .poll(async () => (await store.tasks.listClaimable(50)).some(({ id }) => id === task.id), {
      interval: 10,
    })
    .toBe(true);
  await run(task.id);
  expect(await store.tasks.find(task.id)).toMatchObject({ state: "failed" });
});

test("an uninstall cancels the install that waits, and leaves no Installation", async () => {
  const identifier = await anUploadedPackage();
  const { run, requests } = worker();
  const install = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
  const uninstall = await requests.uninstall(install.installation.id);
  await run(uninstall.task.id);
  expect(await store.tasks.find(install.task.id)).toMatchObject({ state: "cancelled" });
  expect(await store.installations.find(install.installation.id)).toBeUndefined();
});

test("a package that was not uploaded, or that the tenant may not see, is not found", async () => {
  const identifier = await anUploadedPackage();
  const { requests } = worker();
  const request = { tenantId: aTenant(), identifier, asTenant: true };
  await expect(requests.install(request)).rejects.toMatchObject({
    code: "package_not_found",
    details: { value: identifier },
  });
});
