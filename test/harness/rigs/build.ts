/** What a build needs around it, for one test: an engine, folders, and rows of images in memory. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Package } from "../../../src/domain/package.ts";
import { NO_PROXIES } from "../../../src/domain/proxy.ts";
import { createDockerEngine, DOCKER_ENGINE_SETTINGS } from "../../../src/engine/docker/docker-engine.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import type { BuildSettings } from "../../../src/installation/images/build/settings.ts";
import {
  ensurePackageImage,
  type ImageBuilderDeps,
  type PackageImage,
} from "../../../src/installation/images/build-image.ts";
import { pickRuntimeImage } from "../../../src/installation/images/runtime-image.ts";
import { silentLog } from "../../../src/observe/log.ts";
import type { Store } from "../../../src/store/store.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { imageRowsInMemory } from "../doubles/image-rows.ts";
import { LocalQueue } from "../doubles/local-queue.ts";
import { partialRows } from "../doubles/partial-rows.ts";

const MB = 1024 * 1024;

export interface BuildRig extends AsyncDisposable {
  readonly engine: Engine;
  readonly instanceId: string;
  readonly settings: BuildSettings;
  readonly deps: ImageBuilderDeps;
  /** Log lines and progress of all builds. */
  readonly lines: string[];
  build(request: BuildInput, signal?: AbortSignal): Promise<PackageImage>;
}

export interface BuildInput {
  readonly checksum?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly requirements?: string;
  /** Files that name dependencies, beside `requirements`. */
  readonly dependencies?: Readonly<Record<string, string | Buffer>>;
  readonly settings?: Partial<BuildSettings>;
  readonly holder?: string;
  /** That the package asks for. */
  readonly python?: string;
  /** Instead of the rig's own. */
  readonly engine?: Engine;
}

/** Settings of a build in tests: short timeouts, the machine's own CA bundle. */
export function buildSettings(folder: string): BuildSettings {
  return {
    cacheFolder: join(folder, "cache"),
    workFolder: join(folder, "work"),
    network: "bridge",
    hostUser: `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
    python: "nearest-newer",
    variants: {},
    sourceBuilds: "allow",
    limits: {
      memoryBytes: 512 * MB,
      cpuMillis: 2000,
      pidsMax: 128,
      openFilesMax: 4096,
      tmpBytes: 64 * MB,
      diskBytes: 1024 * MB,
      totalMs: 60_000,
      noProgressMs: 20_000,
    },
    index: {
      url: undefined,
      extraUrls: [],
      proxies: NO_PROXIES,
      caBundle: undefined,
      httpRetries: 0,
      httpTimeoutMs: 15_000,
    },
  };
}

export function testEngine(): Engine {
  const socketPath = process.env["BERTH_TEST_ENGINE_SOCKET"] ?? "/var/run/docker.sock";
  return createDockerEngine({
    socketPath,
    log: silentLog,
    clock: systemClock,
    settings: DOCKER_ENGINE_SETTINGS,
  });
}

export async function openBuildRig(): Promise<BuildRig> {
  const engine = testEngine();
  const instanceId = randomBytes(4).toString("hex");
  const folder = await mkdtemp(join(tmpdir(), "berth-build-"));
  const settings = buildSettings(folder);
  const lines: string[] = [];
  const leases = partialRows<Store["leases"]>("leases", { isTaken: async () => false });
  const store = partialRows<Store>("store", { instanceId, images: imageRowsInMemory(), leases });
  const deps: ImageBuilderDeps = {
    engine,
    store,
    queue: new LocalQueue(),
    clock: systemClock,
    leaseMs: 5_000,
    pollMs: 100,
    instanceId,
    cleanupMs: 10_000,
    settings,
  };
  return {
    engine,
    instanceId,
    settings,
    deps,
    lines,
    build: (input, signal = AbortSignal.timeout(60_000)) => runBuild(deps, lines, input, signal),
    async [Symbol.asyncDispose]() {
      await removeInstance(engine, instanceId);
      await engine[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Removes every container and image of the instance: containers first, then images from the top. */
export async function removeInstance(engine: Engine, instanceId: string): Promise<void> {
  const signal = AbortSignal.timeout(60_000);
  const labels = { "berth.instance": instanceId };
  for (const { id } of await engine.listContainers(labels, signal)) await engine.removeContainer(id, signal);
  await engine.removeMark(`berth-${instanceId}-claim`, signal);
  for (let tries = 0; tries < 3; tries += 1) {
    for (const image of await engine.listImages(labels, signal)) {
      for (const tag of image.tags) await engine.removeImage(tag, signal).catch(() => undefined);
    }
  }
}

async function runBuild(deps: ImageBuilderDeps, lines: string[], input: BuildInput, signal: AbortSignal) {
  const settings = { ...deps.settings, ...input.settings };
  const engine = input.engine ?? deps.engine;
  const pkg = {
    checksum: input.checksum ?? randomBytes(32).toString("hex"),
    pluginId: "acme/built",
    runner: { language: "python", version: input.python ?? "3.13", entrypoint: "main", arch: [] },
  } as unknown as Package;
  const runtime = await pickRuntimeImage(engine, pkg, settings, signal);
  const named = new Map(Object.entries(input.dependencies ?? {}));
  if (input.requirements !== undefined) named.set("requirements.txt", input.requirements);
  const source = {
    async *files() {
      for (const [path, text] of Object.entries(input.files ?? { "main.py": "print('here')\n" })) {
        const content = Buffer.from(text);
        yield { type: "file" as const, path, bytes: content.length, content };
      }
    },
    dependencyFiles: async () => ({
      paths: [...named.keys()],
      read: async (path: string) => Buffer.from(named.get(path) ?? ""),
    }),
  };
  const note = (text: string) => {
    lines.push(text);
  };
  return await ensurePackageImage(
    { ...deps, engine, settings },
    {
      pkg,
      source,
      base: { runtimeImageId: runtime.id, arch: "amd64", settingsHash: deps.instanceId },
      runtimeImage: runtime.id,
      holder: input.holder ?? randomBytes(4).toString("hex"),
      onLog: note,
      onProgress: note,
    },
    signal,
  );
}
