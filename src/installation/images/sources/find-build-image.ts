import type { Engine } from "../../../engine/engine.ts";

/** The command that makes the image in which sources are built. */
export const BUILD_IMAGE_COMMAND = "runtime-images/python-build/build";

const LABELS = { "berth.kind": "build-image", "berth.runtime": "python" };

/**
 * The id of the newest build image that makes wheels for a runtime image: of the same Python on the same base, so that
 * they find their libraries there. Undefined where there is none.
 */
export async function findBuildImage(
  engine: Pick<Engine, "listImages" | "findImage">,
  runtimeImage: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const runtime = await engine.findImage(runtimeImage, signal);
  const images = await engine.listImages(LABELS, signal);
  const fitting = images.filter(
    ({ labels, tags }) =>
      tags.length > 0 &&
      ["berth.python", "berth.base"].every((name) => labels[name] === runtime?.labels[name]),
  );
  return fitting.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())[0]?.id;
}
