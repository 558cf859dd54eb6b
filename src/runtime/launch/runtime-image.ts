import type { Engine, EngineImage } from "../../engine/engine.ts";

const RUNTIME = { "berth.kind": "runtime-image", "berth.runtime": "python" };
/** Of a kind of their own, so that nothing runs on a variant that was not put there. */
const VARIANT = { "berth.kind": "runtime-variant", "berth.runtime": "python" };

/** The images on which plugins are built, and from which the guard and the doctor's probe run; the newest first. */
export async function listRuntimeImages(
  engine: Pick<Engine, "listImages">,
  signal: AbortSignal,
): Promise<readonly EngineImage[]> {
  return await named(engine, RUNTIME, signal);
}

/** The images of a variant of the runtime image, one for each Python that it was built for; the newest first. */
export async function listVariantImages(
  engine: Pick<Engine, "listImages">,
  variant: string,
  signal: AbortSignal,
): Promise<readonly EngineImage[]> {
  return await named(engine, { ...VARIANT, "berth.variant": variant }, signal);
}

async function named(
  engine: Pick<Engine, "listImages">,
  labels: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<readonly EngineImage[]> {
  const images = await engine.listImages(labels, signal);
  // An image without a name came with an import, or a newer one took its name.
  return images
    .filter(({ tags }) => tags.length > 0)
    .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
}
