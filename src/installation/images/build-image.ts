import { Fault } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import { underTotalClock } from "./build/build-clock.ts";
import { Removals } from "./build/build-container.ts";
import { buildDependencyLayer, buildPackageLayer, type LayerDeps } from "./build/layers.ts";
import { chooseDependencies, type Dependencies, type DependencyFiles } from "./build/requirements.ts";
import type { TarEntry } from "./build/tar.ts";
import { type BuildBase, dependencyKey, imageKey } from "./image-keys.ts";
import {
  type BuiltImage,
  ensureSharedImage,
  type SharedImage,
  type SharedImageDeps,
} from "./shared-image.ts";

export interface ImageBuilderDeps extends SharedImageDeps, Omit<LayerDeps, "removals"> {}

/** A package's archive, opened and checked. */
export interface PackageSource {
  /** Its files and folders, with what its dialect adds; paths are below the package's root. */
  files(): AsyncIterable<TarEntry>;
  dependencyFiles(): Promise<DependencyFiles>;
}

export interface BuildRequest {
  readonly pkg: Package;
  readonly source: PackageSource;
  readonly base: BuildBase;
  readonly runtimeImage: string;
  readonly holder: string;
  readonly onLog: (text: string) => void;
  readonly onProgress: (message: string) => void;
}

export interface PackageImage extends SharedImage {
  readonly imageKey: string;
}

/**
 * Resolves with the Package's image, built here, by somebody else, or long ago. Throws the Faults of a build
 * (`dependency_unresolvable`, `source_build_refused`, `index_unreachable`, `build_*`) and the signal's reason; no
 * Container of the build is left.
 */
export async function ensurePackageImage(
  deps: ImageBuilderDeps,
  request: BuildRequest,
  signal: AbortSignal,
): Promise<PackageImage> {
  const key = imageKey(request.base, request.pkg.checksum);
  const image = await ensureSharedImage(
    deps,
    {
      key,
      layer: "package",
      holder: request.holder,
      identifier: request.pkg.identifier,
      onWait: () => request.onProgress("waiting for another build of the same image"),
      build: (held, attempt) =>
        underTotalClock(deps.settings.limits, held, (timed) =>
          build(deps, { ...request, key, attempt }, timed),
        ),
    },
    signal,
  );
  return { ...image, imageKey: key };
}

async function build(
  builder: ImageBuilderDeps,
  request: BuildRequest & { key: string; attempt: number },
  signal: AbortSignal,
): Promise<BuiltImage> {
  await using removals = new Removals();
  const deps = { ...builder, removals };
  const dependencies = chooseDependencies(await request.source.dependencyFiles());
  const layer = await ensureDependencies(deps, request, dependencies, signal);
  request.onProgress(layer.built ? "the dependencies are installed" : "the dependencies were there already");
  const { key, onLog, onProgress } = request;
  const files = request.source.files();
  const imageRef = await buildPackageLayer(
    deps,
    { key, base: layer.imageRef, onLog, onProgress, files },
    signal,
  );
  return { imageRef, warnings: dependencies.warnings };
}

async function ensureDependencies(
  deps: ImageBuilderDeps & LayerDeps,
  request: BuildRequest & { key: string; attempt: number },
  dependencies: Dependencies,
  signal: AbortSignal,
): Promise<SharedImage> {
  const key = dependencyKey(request.base, dependencies);
  // Before the layer is claimed: from then on nobody removes it under this build.
  await deps.store.images.setBase(request.key, request.attempt, key);
  const { holder, onLog, onProgress, runtimeImage } = request;
  return ensureSharedImage(
    deps,
    {
      key,
      layer: "dependencies",
      holder,
      onWait: () => onProgress("waiting for another build of the same dependencies"),
      build: async (held) => {
        await whenCacheIsFree(deps, held);
        const layer = { key, base: runtimeImage, onLog, onProgress, dependencies };
        return { imageRef: await buildDependencyLayer(deps, layer, held), warnings: [] };
      },
    },
    signal,
  );
}

/**
 * Waits while the wheel cache is being made smaller. Whoever does that takes its lease first and then looks for builds
 * of dependencies; this build's row was there before it looks for the lease: one of the two sees the other.
 */
async function whenCacheIsFree(
  { store, clock, pollMs }: SharedImageDeps,
  signal: AbortSignal,
): Promise<void> {
  while (await store.leases.isTaken(WHEEL_CACHE_LEASE)) await clock.sleep(pollMs, signal);
}

/** Held by whoever removes files of the wheel cache. */
export const WHEEL_CACHE_LEASE = "wheel-cache";

/** A build of an arch that the Engine does not run would only fail later, in the plugin's start. */
export function checkArch(pkg: Package, arch: string): void {
  if (pkg.runner.arch.length === 0 || pkg.runner.arch.includes(arch)) return;
  throw new Fault(
    "arch_not_supported",
    `The package runs on ${pkg.runner.arch.join(", ")}; this Engine is ${arch}.`,
    {
      details: { field: "meta.arch", value: pkg.runner.arch, accepted: arch },
    },
  );
}
