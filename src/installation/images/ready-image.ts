/** Images that are there already: those that builds made here, and those that came from another Berth. */
import { Fault, isFault } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Store } from "../../store/store.ts";
import type { BuildSettings } from "./build/settings.ts";
import type { PackageImage } from "./build-image.ts";
import { imageKey, indexSettingsHash } from "./image-keys.ts";
import { pickRuntimeImage, type RuntimeImage } from "./runtime-image.ts";
import { ensureSharedImage, type SharedImageDeps } from "./shared-image.ts";

export interface ReadyImageDeps {
  readonly engine: Engine;
  readonly store: Pick<Store, "images" | "importedImages">;
  readonly settings: Pick<BuildSettings, "index" | "python">;
}

export interface ReadyImage {
  readonly imageRef: string;
  readonly arch: string;
  /** Undefined for one that was imported: nobody here has what it stands on. */
  readonly runtimeImageId: string | undefined;
}

/** The image that an install would use now without building anything. */
export async function findReadyImage(
  deps: ReadyImageDeps,
  pkg: Package,
  signal: AbortSignal,
): Promise<ReadyImage | undefined> {
  const { engine, store, settings } = deps;
  const { arch } = await engine.info(signal);
  const runtime = await pickIfAny(deps, pkg, signal);
  if (runtime !== undefined) {
    const row = await store.images.find(imageKey(baseOf(settings, { runtime, arch }), pkg.checksum));
    if (row?.state === "ready" && row.imageRef !== undefined)
      return { imageRef: row.imageRef, arch, runtimeImageId: runtime.id };
  }
  const imported = await store.importedImages.find(pkg.checksum, arch);
  const row = imported === undefined ? undefined : await store.images.find(imported.imageKey);
  if (row?.state !== "ready" || row.imageRef === undefined) return undefined;
  return { imageRef: row.imageRef, arch, runtimeImageId: undefined };
}

export function baseOf(
  { index }: Pick<BuildSettings, "index">,
  { runtime, arch }: { readonly runtime: RuntimeImage; readonly arch: string },
) {
  return { runtimeImageId: runtime.id, arch, settingsHash: indexSettingsHash(index) };
}

async function pickIfAny(
  { engine, settings }: ReadyImageDeps,
  pkg: Package,
  signal: AbortSignal,
): Promise<RuntimeImage | undefined> {
  try {
    return await pickRuntimeImage(engine, pkg, settings.python, signal);
  } catch (error) {
    if (isFault(error, "python_not_available")) return undefined;
    throw error;
  }
}

/**
 * The image that was imported for the Package and this arch, counted as used. Undefined where there is none, where the
 * Engine has lost it, and where one that was built here is ready: that one has the newer base.
 */
export async function useImported(
  deps: ReadyImageDeps & SharedImageDeps,
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
