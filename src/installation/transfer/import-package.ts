import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Actor } from "../../domain/audit.ts";
import { Fault, isFault } from "../../domain/fault.ts";
import type { ReadPackage } from "../../packages/read-package.ts";
import type { PackageUploads } from "../contracts.ts";
import { underTotalClock } from "../images/build/build-clock.ts";
import { Removals } from "../images/build/build-container.ts";
import { buildPackageLayer } from "../images/build/layers.ts";
import { checkArch, type ImageBuilderDeps } from "../images/build-image.ts";
import { importedImageKey } from "../images/image-keys.ts";
import { ensureSharedImage } from "../images/shared-image.ts";
import { type PackageAccessDeps, verifyPackage } from "../packages/verify-package.ts";
import type { Trust } from "../trust/trust.ts";
import type { ImportedPackage } from "./contracts.ts";
import {
  type ExportManifest,
  exportInvalid,
  IMAGE,
  PACKAGE,
  parseJson,
  SIGNATURES,
  StoredSignatures,
} from "./manifest.ts";
import { type ExportBounds, readExport } from "./read-export.ts";
import { checkSavedImage } from "./saved-image.ts";
import { openStaging } from "./staging.ts";

export interface ImportDeps extends ImageBuilderDeps, PackageAccessDeps {
  readonly uploads: PackageUploads;
  readonly trust: Trust;
  readonly stagingFolder: string;
  readonly bounds: ExportBounds;
}

/** Checks everything first, then loads the image, then writes its rows: a failure changes nothing for an install. */
export async function importPackage(
  deps: ImportDeps,
  { body, by }: { readonly body: AsyncIterable<Uint8Array>; readonly by?: Actor },
  signal: AbortSignal,
): Promise<ImportedPackage> {
  const { engine, store, trust, uploads } = deps;
  await using staging = await openStaging(deps.stagingFolder);
  const { folder } = staging;
  const manifest = await readExport(body, { folder, bounds: deps.bounds }, signal);
  const { arch } = await engine.info(signal);
  checkSameArch(manifest, arch);
  const read = await deps.reader.read(join(folder, PACKAGE), new Date(deps.clock.now()), signal);
  if (read.identifier !== manifest.identifier)
    throw exportInvalid(`${PACKAGE} is that of ${read.identifier}`, manifest.identifier);
  checkArch(read, arch);
  await checkSavedImage(join(folder, IMAGE), manifest.image.id, signal);
  await keepSignatures(deps, { read, folder }, by);
  await trust.decide({ read, tenantId: undefined, from: "upload" });

  const image = await buildImported(deps, { manifest, read, folder }, signal);
  const archive = createReadStream(join(folder, PACKAGE));
  const { stored } = await uploads.receive(archive, by === undefined ? {} : { by }, signal);
  const { id, runtime_image_id, builder_version } = manifest.image;
  await store.importedImages.put({
    checksum: read.checksum,
    arch,
    imageKey: image.imageKey,
    origin: {
      imageId: id,
      runtimeImageId: runtime_image_id,
      builderVersion: builder_version,
      exportedAt: manifest.exported_at,
    },
  });
  return { stored, arch, imageKey: image.imageKey, created: image.built };
}

function checkSameArch({ image }: ExportManifest, arch: string): void {
  if (image.arch === arch) return;
  throw new Fault("arch_not_supported", `The image is for ${image.arch}; this engine runs ${arch}.`, {
    details: { field: "image.arch", value: image.arch, accepted: arch },
  });
}

/** Stores the signatures that came after the archive; its own one is inside it. */
async function keepSignatures(
  { trust }: ImportDeps,
  { read, folder }: { readonly read: ReadPackage; readonly folder: string },
  by: Actor | undefined,
): Promise<void> {
  const { success, data } = StoredSignatures.safeParse(
    parseJson(await readFile(join(folder, SIGNATURES)), SIGNATURES),
  );
  if (!success) throw exportInvalid(`${SIGNATURES} does not hold signatures`);
  await trust.keepSignatures(read, data, by);
}

interface Taking {
  readonly manifest: ExportManifest;
  readonly read: ReadPackage;
  readonly folder: string;
}

/**
 * Builds the image that runs here: the dependencies of the imported image, and on top of them the files of the checked
 * archive in place of the image's own. Configuration, user and labels are those of this Berth.
 */
async function buildImported(deps: ImportDeps, { manifest, read, folder }: Taking, signal: AbortSignal) {
  const key = importedImageKey(manifest.image.id, read.checksum);
  const source = await verifyPackage({ archivePath: join(folder, PACKAGE), pkg: read }, deps, signal);
  const quiet = () => undefined;
  const image = await ensureSharedImage(
    deps,
    {
      key,
      layer: "package",
      holder: `import/${randomUUID()}`,
      identifier: read.identifier,
      onWait: quiet,
      build: (held) =>
        underTotalClock(deps.settings.limits, held, async (timed) => {
          await using removals = new Removals();
          await using base = await loadBase(
            deps,
            { path: join(folder, IMAGE), id: manifest.image.id },
            timed,
          );
          const request = { key, base: base.id, onLog: quiet, onProgress: quiet, isAnew: true } as const;
          const files = source.files();
          const imageRef = await buildPackageLayer({ ...deps, removals }, { ...request, files }, timed);
          return { imageRef, warnings: [] };
        }),
    },
    signal,
  );
  return { ...image, imageKey: key };
}

/** Loads the imported image. Disposing removes it, unless another image builds on it by then. */
async function loadBase(
  { engine, cleanupMs }: ImportDeps,
  { path, id }: { readonly path: string; readonly id: string },
  signal: AbortSignal,
): Promise<AsyncDisposable & { readonly id: string }> {
  const isNew = (await engine.findImage(id, signal)) === undefined;
  if (isNew) {
    await engine.loadImage(createReadStream(path), signal).catch((error: unknown) => {
      if (isFault(error, "engine_refused"))
        throw exportInvalid(`the engine refuses ${IMAGE}: ${error.message}`);
      throw error;
    });
    if ((await engine.findImage(id, signal)) === undefined)
      throw exportInvalid(`${IMAGE} does not hold the image ${id}`);
  }
  return {
    id,
    async [Symbol.asyncDispose]() {
      if (isNew) await engine.removeImage(id, AbortSignal.timeout(cleanupMs)).catch(() => undefined);
    },
  };
}
