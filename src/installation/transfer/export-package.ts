import { createReadStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { Fault } from "../../domain/fault.ts";
import type { EngineImage } from "../../engine/engine.ts";
import type { PackageStore } from "../../packages/package-store.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";
import type { ImageBuilderDeps } from "../images/build-image.ts";
import { BUILDER_VERSION } from "../images/image-keys.ts";
import { findReadyImage } from "../images/ready-image.ts";
import type { ExportedPackage } from "./contracts.ts";
import { DECLARATION, type ExportManifest, FORMAT_VERSION, IMAGE, PACKAGE, SIGNATURES } from "./manifest.ts";
import { openStaging } from "./staging.ts";
import { exportStream, gather } from "./write-export.ts";

export interface ExportDeps extends ImageBuilderDeps {
  readonly packageStore: PackageStore;
  /** Where an export is assembled; it needs space for the whole file. */
  readonly stagingFolder: string;
}

export async function exportPackage(
  deps: ExportDeps,
  identifier: string,
  signal: AbortSignal,
): Promise<ExportedPackage> {
  const pkg = await deps.store.packages.find(identifier);
  if (pkg === undefined) throw packageNotFound(identifier);
  const found = await findReadyImage(deps, pkg, signal);
  const image = found === undefined ? undefined : await deps.engine.findImage(found.imageRef, signal);
  if (found === undefined || image === undefined) throw imageNotFound(identifier);
  const staging = await openStaging(deps.stagingFolder);
  try {
    const { arch, runtimeImageId } = found;
    const contents = await gatherAll(deps, { pkg, image, folder: staging.folder }, signal);
    const manifest: ExportManifest = {
      format: "berth-export",
      version: FORMAT_VERSION,
      exported_at: new Date(deps.clock.now()).toISOString(),
      identifier,
      image: {
        id: image.id,
        arch,
        builder_version: BUILDER_VERSION,
        ...(runtimeImageId === undefined ? {} : { runtime_image_id: runtimeImageId }),
      },
      contents,
    };
    const { bytes, content } = await exportStream(staging.folder, manifest);
    const name = `${pkg.author}_${pkg.name}_${pkg.version}_${arch}.berth.tar`;
    return {
      name,
      bytes,
      content,
      async [Symbol.asyncDispose]() {
        content.destroy();
        await staging[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await staging[Symbol.asyncDispose]();
    throw error;
  }
}

interface Gathering {
  readonly pkg: StoredPackage;
  readonly image: EngineImage;
  readonly folder: string;
}

async function gatherAll(
  { store, engine, packageStore }: ExportDeps,
  { pkg, image, folder }: Gathering,
  signal: AbortSignal,
) {
  await using archive = await packageStore.open(pkg.identifier, signal);
  const signatures = (await store.trust.signaturesOf(pkg.identifier)).map(
    ({ keyId, time, signature, entries }) => ({ keyId, time, signature, entries }),
  );
  const json = (value: unknown) => Readable.from([Buffer.from(`${JSON.stringify(value, null, 2)}\n`)]);
  const put = (name: Parameters<typeof gather>[0]["name"], content: Readable) =>
    gather({ folder, name }, content, signal);
  return [
    await put(DECLARATION, json(pkg.declaration)),
    await put(SIGNATURES, json(signatures)),
    await put(PACKAGE, createReadStream(join(archive.path))),
    await put(IMAGE, await engine.saveImage(image.id, signal)),
  ];
}

function packageNotFound(identifier: string): Fault {
  return new Fault("package_not_found", `There is no package ${identifier}.`, {
    details: { field: "identifier", value: identifier, accepted: "the identifier of an uploaded package" },
  });
}

function imageNotFound(identifier: string): Fault {
  return new Fault(
    "conflict",
    `The package ${identifier} has no image here: install it once, then export it.`,
    {
      details: { field: "identifier", value: identifier, accepted: "a package that has been installed here" },
    },
  );
}
