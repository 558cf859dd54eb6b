import { Fault } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import type { Engine, EngineImage } from "../../engine/engine.ts";
import { listRuntimeImages } from "../../runtime/launch/runtime-image.ts";
import type { BuildSettings } from "./build/settings.ts";

export interface RuntimeImage {
  readonly id: string;
  /** `3.13` */
  readonly python: string;
  readonly warnings: readonly string[];
}

/**
 * Picks the runtime image of a package: the newest one with the Python that it asks for, or with the nearest newer
 * Python, which is a warning. Throws `python_not_available` where there is none, or where the operator allows only the
 * exact version.
 */
export async function pickRuntimeImage(
  engine: Pick<Engine, "listImages">,
  { runner }: Pick<Package, "runner">,
  policy: BuildSettings["python"],
  signal: AbortSignal,
): Promise<RuntimeImage> {
  const images = (await listRuntimeImages(engine, signal))
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
    throw new Fault(
      "python_not_available",
      `The package asks for Python ${runner.version}; ${images.length === 0 ? "there is no runtime image" : `runtime images have ${accepted.join(", ")}`}.`,
      { details: { field: "meta.runner.version", value: runner.version, accepted } },
    );
  }
  const warnings = exact ? [] : [`The package asks for Python ${runner.version} and runs on ${python}.`];
  return { id: image.id, python, warnings };
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
