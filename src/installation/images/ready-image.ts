/**
 * Finds images without building, claiming or changing anything: those that builds made here, and those that came from
 * another Berth.
 */
import { isFault } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Store } from "../../store/store.ts";
import type { BuildSettings } from "./build/settings.ts";
import { imageKey, indexSettingsHash } from "./image-keys.ts";
import { pickRuntimeImage, type RuntimeImage } from "./runtime-image.ts";

export interface ReadyImageDeps {
  readonly engine: Engine;
  readonly store: Pick<Store, "images" | "importedImages">;
  readonly settings: Pick<BuildSettings, "index" | "python" | "variants">;
}

export interface ReadyImage {
  readonly imageRef: string;
  readonly arch: string;
  /** Undefined for an imported image: its runtime image is not here. */
  readonly runtimeImageId: string | undefined;
}

/** An image by its key. */
export interface KnownImage {
  readonly imageKey: string;
  readonly imageRef: string;
  readonly warnings: readonly string[];
}

/** The image that an install would use now without a build. The engine is not asked whether it still has it. */
export async function findReadyImage(
  deps: ReadyImageDeps,
  pkg: Package,
  signal: AbortSignal,
): Promise<ReadyImage | undefined> {
  const { engine, store, settings } = deps;
  const { arch } = await engine.info(signal);
  const runtime = await pickIfAny(deps, pkg, signal);
  if (runtime !== undefined) {
    const built = await findReadyRow(store, imageKey(baseOf(settings, { runtime, arch }), pkg.checksum));
    if (built !== undefined) return { imageRef: built.imageRef, arch, runtimeImageId: runtime.id };
  }
  const imported = await store.importedImages.find(pkg.checksum, arch);
  const row = imported === undefined ? undefined : await findReadyRow(store, imported.imageKey);
  return row === undefined ? undefined : { imageRef: row.imageRef, arch, runtimeImageId: undefined };
}

/** The image under that key, where the engine still has it. This does not count as a use. */
export async function findKnownImage(
  { store, engine }: Pick<ReadyImageDeps, "engine"> & { readonly store: Pick<Store, "images"> },
  key: string | undefined,
  signal: AbortSignal,
): Promise<KnownImage | undefined> {
  const row = key === undefined ? undefined : await findReadyRow(store, key);
  if (row === undefined || (await engine.findImage(row.imageRef, signal)) === undefined) return undefined;
  return row;
}

/** What the row says, without a claim on it. */
async function findReadyRow({ images }: Pick<Store, "images">, key: string): Promise<KnownImage | undefined> {
  const row = await images.find(key);
  if (row?.state !== "ready" || row.imageRef === undefined) return undefined;
  return { imageKey: row.key, imageRef: row.imageRef, warnings: row.warnings };
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
    return await pickRuntimeImage(engine, pkg, settings, signal);
  } catch (error) {
    if (isFault(error, "python_not_available") || isFault(error, "variant_not_available")) return undefined;
    throw error;
  }
}
