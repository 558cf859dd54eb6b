import { Fault, isFault } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import type { TaskStep } from "../../domain/task.ts";
import type { TaskJournal } from "../task-engine/task-journal.ts";
import {
  checkArch,
  ensurePackageImage,
  type ImageBuilderDeps,
  type PackageImage,
  type PackageSource,
} from "./build-image.ts";
import { baseOf, findReadyImage } from "./ready-image.ts";
import { pickRuntimeImage } from "./runtime-image.ts";
import { ensureSharedImage } from "./shared-image.ts";

export interface ImageWanted {
  readonly pkg: Package;
  readonly source: PackageSource;
  /** Those of the upload, repeated in the task so that its readers see what was left out of the package. */
  readonly warnings: readonly string[];
  readonly journal: TaskJournal;
  readonly enter: (step: TaskStep) => Promise<void>;
  readonly holder: string;
}

export interface PreparedImage {
  readonly image: PackageImage;
  /** Of the runtime image and of the build. */
  readonly warnings: readonly string[];
}

/**
 * The steps `resolving` and `building`: resolves with an image of the package that the engine has, imported, built
 * before, or built now. Throws `arch_not_supported`, `python_not_available`, `variant_not_available`, and the Faults of
 * a build.
 */
export async function ensureImage(
  deps: ImageBuilderDeps,
  { pkg, source, warnings, journal, enter, holder }: ImageWanted,
  signal: AbortSignal,
): Promise<PreparedImage> {
  await enter("resolving");
  const { arch } = await deps.engine.info(signal);
  const { version, arch: arches } = pkg.runner;
  const runsOn = arches.length === 0 ? "any architecture" : arches.join(", ");
  journal.log(`the package asks for Python ${version} on ${runsOn}; this engine runs ${arch}`);
  checkArch(pkg, arch);
  const imported = await useImported(deps, { pkg, holder }, signal);
  if (imported !== undefined) {
    for (const warning of new Set(warnings)) journal.warning(warning);
    await enter("building");
    journal.progress("the image came from another Berth");
    return { image: imported, warnings: imported.warnings };
  }
  const runtime = await pickRuntimeImage(deps.engine, pkg, deps.settings, signal);
  for (const warning of new Set([...warnings, ...runtime.warnings])) journal.warning(warning);

  await enter("building");
  const image = await ensurePackageImage(
    deps,
    {
      pkg,
      source,
      holder,
      runtimeImage: runtime.id,
      base: baseOf(deps.settings, { runtime, arch }),
      onLog: (text) => journal.log(text),
      onProgress: (message) => journal.progress(message),
    },
    signal,
  );
  for (const warning of image.warnings) journal.warning(warning);
  journal.progress(image.built ? "the image is built" : "the image was there already");
  return { image, warnings: [...runtime.warnings, ...image.warnings] };
}

/**
 * The image that was imported for the package and this arch; it counts as used now. Undefined where there is none, where
 * the engine has lost it, and where an image that was built here is ready: that one has the newer base.
 */
async function useImported(
  deps: ImageBuilderDeps,
  { pkg, holder }: { readonly pkg: Package; readonly holder: string },
  signal: AbortSignal,
): Promise<PackageImage | undefined> {
  const found = await findReadyImage(deps, pkg, signal);
  if (found === undefined || found.runtimeImageId !== undefined) return undefined;
  const imported = await deps.store.importedImages.find(pkg.checksum, found.arch);
  if (imported === undefined) return undefined;
  const key = imported.imageKey;
  const { identifier } = pkg;
  const missing = () => Promise.reject(new Fault("image_missing", "The imported image is gone."));
  try {
    const request = { key, layer: "package", holder, identifier, onWait: () => undefined } as const;
    const image = await ensureSharedImage(deps, { ...request, build: missing }, signal);
    return { ...image, imageKey: key };
  } catch (error) {
    if (isFault(error, "image_missing")) return undefined;
    throw error;
  }
}
