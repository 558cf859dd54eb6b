import type { Engine, EngineImage } from "../../engine/engine.ts";

const LABELS = { "berth.kind": "runtime-image", "berth.runtime": "python" };

/** What plugins stand on, and the guard and the doctor's probe run from; the newest first. */
export async function listRuntimeImages(
  engine: Pick<Engine, "listImages">,
  signal: AbortSignal,
): Promise<readonly EngineImage[]> {
  const images = await engine.listImages(LABELS, signal);
  // One without a name came with an import, or another has taken its name.
  return images
    .filter(({ tags }) => tags.length > 0)
    .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
}
