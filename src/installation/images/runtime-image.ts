import { Fault } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import { variantOf } from "../../domain/plugin-variants.ts";
import type { Engine, EngineImage } from "../../engine/engine.ts";
import { listRuntimeImages, listVariantImages } from "../../runtime/launch/runtime-image.ts";
import type { BuildSettings } from "./build/settings.ts";

export interface RuntimeImage {
  readonly id: string;
  /** `3.13` */
  readonly python: string;
  readonly warnings: readonly string[];
}

/**
 * Picks the image that a package is built on: the runtime image, or the variant of it that the operator has set for the
 * plugin. Of these the newest one with the Python that the package asks for, or with the nearest newer Python, which is
 * a warning. Throws `variant_not_available`, and `python_not_available` where there is none, or where the operator allows
 * only the exact version.
 */
export async function pickRuntimeImage(
  engine: Pick<Engine, "listImages">,
  { pluginId, runner }: Pick<Package, "pluginId" | "runner">,
  { python: policy, variants }: Pick<BuildSettings, "python" | "variants">,
  signal: AbortSignal,
): Promise<RuntimeImage> {
  const variant = variantOf(variants, pluginId);
  const listed =
    variant === undefined
      ? await listRuntimeImages(engine, signal)
      : await listVariantImages(engine, variant, signal);
  if (variant !== undefined && listed.length === 0) throw variantMissing(pluginId, variant);
  const images = listed
    .filter((image) => versionOf(image) !== undefined)
    .sort((a, b) => compare(versionOf(a), versionOf(b)));
  const wanted = parseVersion(runner.version);
  const image = images.find(
    (candidate) => wanted === undefined || compare(versionOf(candidate), wanted) >= 0,
  );
  const python = image === undefined ? undefined : image.labels["berth.python"];
  const exact = image !== undefined && wanted !== undefined && compare(versionOf(image), wanted) === 0;
  if (image === undefined || python === undefined || (policy === "exact" && !exact)) {
    // After an update of Berth the image before is still there.
    const accepted = [...new Set(images.map(({ labels }) => labels["berth.python"]))];
    const what = variant === undefined ? "runtime images" : `images of the variant ${variant}`;
    throw new Fault(
      "python_not_available",
      `The package asks for Python ${runner.version}; ${images.length === 0 ? "there is no runtime image" : `${what} have ${accepted.join(", ")}`}.`,
      { details: { field: "meta.runner.version", value: runner.version, accepted } },
    );
  }
  const warnings = exact ? [] : [`The package asks for Python ${runner.version} and runs on ${python}.`];
  return { id: image.id, python, warnings };
}

function variantMissing(pluginId: string, variant: string): Fault {
  return new Fault(
    "variant_not_available",
    `BERTH_PLUGIN_IMAGES puts ${pluginId} on the variant ${variant}, and the engine has no image of it: run runtime-images/variant ${variant}.`,
    { details: { field: "BERTH_PLUGIN_IMAGES", value: `${pluginId}=${variant}` } },
  );
}

type Version = readonly [number, number];

/** Major and minor; a patch number makes no other Python. */
function parseVersion(text: string): Version | undefined {
  const found = /^\s*(\d+)\.(\d+)/.exec(text);
  return found === null ? undefined : [Number(found[1]), Number(found[2])];
}

function versionOf({ labels }: EngineImage): Version | undefined {
  return parseVersion(labels["berth.python"] ?? "");
}

function compare(a: Version | undefined, b: Version | undefined): number {
  return (a?.[0] ?? 0) - (b?.[0] ?? 0) || (a?.[1] ?? 0) - (b?.[1] ?? 0);
}
