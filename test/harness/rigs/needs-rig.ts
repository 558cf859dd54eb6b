/**
 * Packages that need each other, one worker with one place, and a keeper that can be told which plugin does not start:
 * what dependencies are tested with. Their images are there already, so nothing is built.
 */
import { writeFile } from "node:fs/promises";
import { Fault } from "../../../src/domain/fault.ts";
import type { TaskId, TenantId } from "../../../src/domain/ids.ts";
import type { Installation } from "../../../src/domain/installation.ts";
import type { RuntimeRecord } from "../../../src/domain/runtime.ts";
import type { Task } from "../../../src/domain/task.ts";
import { imageKey } from "../../../src/installation/images/image-keys.ts";
import { baseOf } from "../../../src/installation/images/ready-image.ts";
import { pickRuntimeImage } from "../../../src/installation/images/runtime-image.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../../../src/packages/read-package.ts";
import type { Accepted } from "../../../src/store/contracts/answers.ts";
import type { StoredPackage } from "../../../src/store/contracts/packages.ts";
import { seedFiles, zipOf } from "../../support/test-zip.ts";
import { LocalQueue } from "../doubles/local-queue.ts";
import { aBundle } from "../samples/tenant-rows.ts";
import { buildSettings } from "./build.ts";
import type { InstallRig, TestWorker, WorkerOptions } from "./installer.ts";

export interface NeedsRig {
  /** Uploads `acme/<name>`, whose manifest asks for the others. */
  upload(name: string, dependencies?: readonly unknown[], options?: UploadOptions): Promise<string>;
  /** Uploads a bundle that lists those packages. */
  bundle(identifiers: readonly string[]): Promise<string>;
  install(tenantId: TenantId, identifier: string): Promise<Accepted>;
  /** Runs what is in the queue, one task after the other, until nothing is left. */
  drain(): Promise<void>;
  /** Runs tasks until the next one to be taken is of that plugin; answers it, not run. */
  drainUntil(pluginId: string): Promise<TaskId>;
  task(id: TaskId): Promise<Task>;
  /** What the tenant has: plugin ids with their states. */
  has(tenantId: TenantId): Promise<Readonly<Record<string, string>>>;
  installed(tenantId: TenantId, pluginId: string): Promise<Installation>;
  /** Plugins whose pools do not start. */
  readonly broken: Set<string>;
  /** Plugin ids in the order in which their pools were started. */
  readonly started: string[];
  readonly worker: TestWorker;
  readonly queue: LocalQueue;
}

export interface UploadOptions {
  readonly version?: string;
  readonly uploader?: TenantId;
}

export function openNeedsRig(rig: InstallRig, options: WorkerOptions = {}): NeedsRig {
  const queue = options.queue ?? new LocalQueue();
  const worker = rig.worker({ ...options, queue });
  const broken = new Set<string>();
  const started: string[] = [];
  const ensureReady = async (key: string): Promise<RuntimeRecord> => {
    const pool = await rig.store.pools.find(key);
    if (pool === undefined) throw new Error(`there is no pool ${key}`);
    if (broken.has(pool.pluginId)) throw new Fault("start_crashed", `${pool.pluginId} does not start.`);
    started.push(pool.pluginId);
    return { poolKey: key } as unknown as RuntimeRecord;
  };
  Object.assign(worker.keeper, { ensureReady });
  const next = () => queue.jobs.shift()?.payload as { taskId: TaskId } | undefined;
  return {
    broken,
    started,
    worker,
    queue,
    upload: (name, dependencies = [], given = {}) => upload(rig, { name, dependencies, ...given }),
    bundle: (identifiers) => bundle(rig, identifiers),
    install: (tenantId, identifier) => worker.requests.install({ tenantId, identifier, asTenant: false }),
    drain: async () => {
      for (let job = next(); job !== undefined; job = next()) await worker.run(job.taskId);
    },
    drainUntil: async (pluginId) => {
      for (let job = next(); job !== undefined; job = next()) {
        const task = await rig.store.tasks.find(job.taskId);
        if (task?.identifier?.startsWith(`${pluginId}:`)) return job.taskId;
        await worker.run(job.taskId);
      }
      throw new Error(`no task of ${pluginId} came`);
    },
    task: async (id) => {
      const task = await rig.store.tasks.find(id);
      if (task === undefined) throw new Error(`there is no task ${id}`);
      return task;
    },
    has: async (tenantId) => {
      const { items } = await rig.store.installations.list({ tenantId }, { limit: 100 });
      return Object.fromEntries(items.map(({ pluginId, state }) => [pluginId, state]));
    },
    installed: async (tenantId, pluginId) => {
      const found = await rig.store.installations.findByPlugin(tenantId, pluginId);
      if (found === undefined) throw new Error(`${pluginId} is not installed`);
      return found;
    },
  };
}

async function upload(
  { store, packages, engine, folder }: InstallRig,
  given: UploadOptions & { readonly name: string; readonly dependencies: readonly unknown[] },
): Promise<string> {
  const { name, dependencies, version = "1.0.0", uploader } = given;
  const staged = await packages.stage();
  await writeFile(staged.path, zipOf(seedFiles({ author: "acme", name, version, dependencies })));
  const { evidence: _evidence, ...pkg } = await readPackage(staged.path, new Date(0), DEFAULT_READ_OPTIONS);
  await packages.keep(staged, pkg.identifier);
  await store.packages.put(pkg, uploader === undefined ? {} : { tenantId: uploader });
  const settings = buildSettings(folder);
  const signal = AbortSignal.timeout(10_000);
  const { arch } = await engine.info(signal);
  const runtime = await pickRuntimeImage(engine, pkg, settings, signal);
  const key = imageKey(baseOf(settings, { runtime, arch }), pkg.checksum);
  const claim = await store.images.claim(key, "package", "rig", 60_000, { identifier: pkg.identifier });
  if (claim.outcome === "claimed")
    await store.images.publish(key, claim.attempt, { imageRef: "berth-python:5", bytes: 1, warnings: [] });
  return pkg.identifier;
}

async function bundle({ store }: InstallRig, identifiers: readonly string[]): Promise<string> {
  const packages: StoredPackage[] = [];
  for (const identifier of identifiers) {
    const pkg = await store.packages.find(identifier);
    if (pkg !== undefined) packages.push(pkg);
  }
  const { stored } = await store.bundles.put({ bundle: aBundle(identifiers), packages }, {});
  return stored.identifier;
}
