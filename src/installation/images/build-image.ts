import { Fault, isFault } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import { underTotalClock } from "./build/build-clock.ts";
import { Removals } from "./build/build-container.ts";
import { buildDependencyLayer, buildPackageLayer, type LayerDeps } from "./build/layers.ts";
import type { TarEntry } from "./build/tar.ts";
import { type BuildBase, dependencyKey, imageKey } from "./image-keys.ts";
import { chooseDependencies, type Dependencies, refuseAddress } from "./requirements/choose-dependencies.ts";
import type { DependencyFiles } from "./requirements/dependency-files.ts";
import {
  type BuiltImage,
  ensureSharedImage,
  type SharedImage,
  type SharedImageDeps,
} from "./shared-image.ts";
import { refuseBuiltFromSource } from "./sources/source-policy.ts";

export interface ImageBuilderDeps extends SharedImageDeps, Omit<LayerDeps, "removals"> {}

/** A package's checked archive. */
export interface PackageSource {
  /** Its files and folders, and those that its dialect adds; paths are relative to the package's root. */
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
 * Resolves with the package's image, whether built now, by another worker, or before. Throws the Faults of a build
 * (`dependency_unresolvable`, `source_build_refused`, `index_unreachable`, `build_*`) and the signal's reason; the
 * build's containers are gone then.
 */
export async function ensurePackageImage(
  deps: ImageBuilderDeps,
  request: BuildRequest,
  signal: AbortSignal,
): Promise<PackageImage> {
  const { sourceBuilds } = deps.settings;
  // Before anything is looked up or claimed: the refusal must not depend on whether the image is there.
  if (sourceBuilds === "refuse") await refuseAddresses(request);
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
  if (sourceBuilds === "refuse") await refuseBuiltFromSource(deps.engine, image.imageRef, signal);
  return { ...image, imageKey: key };
}

async function refuseAddresses({ source }: BuildRequest): Promise<void> {
  const { requirements, constraints } = await chooseDependencies(await source.dependencyFiles());
  for (const line of [...requirements, ...constraints]) refuseAddress(line);
}

async function build(
  builder: ImageBuilderDeps,
  request: BuildRequest & { key: string; attempt: number },
  signal: AbortSignal,
): Promise<BuiltImage> {
  await using removals = new Removals();
  const deps = { ...builder, removals };
  const dependencies = await chooseDependencies(await request.source.dependencyFiles());
  const layer = await ensureDependencies(deps, request, dependencies, signal).catch((error: unknown) => {
    throw withWarnings(error, dependencies.warnings);
  });
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

/** Says what was ignored of the package's files: it may be why the build failed, and nobody sees the warnings then. */
function withWarnings(error: unknown, warnings: readonly string[]): unknown {
  const ignored = warnings.filter((warning) => warning.includes(" is ignored"));
  if (!isFault(error) || ignored.length === 0) return error;
  const { code, message, details, context } = error;
  return new Fault(code, `${message} ${ignored.slice(0, 3).join(" ")}`, {
    details: { ...details, ignored },
    context,
    cause: error,
  });
}

async function ensureDependencies(
  deps: ImageBuilderDeps & LayerDeps,
  request: BuildRequest & { key: string; attempt: number },
  dependencies: Dependencies,
  signal: AbortSignal,
): Promise<SharedImage> {
  const key = dependencyKey(request.base, dependencies);
  // Before the layer is claimed: from then on no collection removes it while this build needs it.
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
 * Waits while files are removed from the wheel cache. A removal takes the lease first and then looks for builds of
 * dependencies; a build writes its row first and then looks for the lease: one of the two sees the other.
 */
async function whenCacheIsFree(
  { store, clock, pollMs }: SharedImageDeps,
  signal: AbortSignal,
): Promise<void> {
  while (await store.leases.isTaken(WHEEL_CACHE_LEASE)) await clock.sleep(pollMs, signal);
}

/** The lease under which files are removed from the wheel cache. */
export const WHEEL_CACHE_LEASE = "wheel-cache";

/**
 * Throws `arch_not_supported` where the package does not run on the engine's arch: its build would only fail later, at
 * the plugin's start.
 */
export function checkArch(pkg: Package, arch: string): void {
  if (pkg.runner.arch.length === 0 || pkg.runner.arch.includes(arch)) return;
  throw new Fault(
    "arch_not_supported",
    `The package runs on ${pkg.runner.arch.join(", ")}; this engine runs ${arch}.`,
    {
      details: { field: "meta.arch", value: pkg.runner.arch, accepted: arch },
    },
  );
}
