import type { Engine, EngineImage } from "../../engine/engine.ts";

const LABELS = { "berth.kind": "runtime-image", "berth.runtime": "python" };

/** The images on which plugins are built, and from which the guard and the doctor's probe run; the newest first. */
export async function listRuntimeImages(
  engine: Pick<Engine, "listImages">,
  signal: AbortSignal,
): Promise<readonly EngineImage[]> {
  const images = await engine.listImages(LABELS, signal);
  // An image without a name came with an import, or a newer one took its name.
  return images
    .filter(({ tags }) => tags.length > 0)
    .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
}
