/**
 * Checks a saved image before an engine loads it. An engine gives the image the names in the file, and takes them from
 * the images that have them: so a file with any name is refused. The engine itself checks the layers: it refuses those
 * whose digests are not in the configuration, and the digest of the configuration is the image's id.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import { z } from "zod";
import { isFault } from "../../domain/fault.ts";
import { exportInvalid, IMAGE, parseJson } from "./manifest.ts";

const Manifest = z
  .array(
    z.object({ Config: z.string(), RepoTags: z.array(z.string()).nullish(), Layers: z.array(z.string()) }),
  )
  .length(1);
const Index = z.object({
  manifests: z.array(z.object({ annotations: z.record(z.string(), z.string()).optional() })),
});
/** Annotations in which saved images carry their names. */
const NAMES = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
/** Bounds of the files that describe an image; its layers are larger, and are not read here. */
const TEXT_BYTES_MAX = 4 << 20;
const TEXTS_BYTES_MAX = 64 << 20;

/** Throws `export_invalid` unless the file holds exactly that image, without a name. */
export async function checkSavedImage(path: string, imageId: string, signal: AbortSignal): Promise<void> {
  const texts = await readTexts(path, signal);
  const [image] = parsed(Manifest, texts, "manifest.json");
  if ((image?.RepoTags ?? []).length > 0) throw exportInvalid(`${IMAGE} brings names for its image`);
  const config = texts.get(image?.Config ?? "");
  const digest = config === undefined ? undefined : createHash("sha256").update(config).digest("hex");
  if (`sha256:${digest}` !== imageId) throw exportInvalid(`${IMAGE} does not hold the image ${imageId}`);
  if (texts.has("repositories")) throw exportInvalid(`${IMAGE} brings names for its image`);
  if (!texts.has("index.json")) return;
  const { manifests } = parsed(Index, texts, "index.json");
  if (manifests.some(({ annotations = {} }) => NAMES.some((name) => Object.hasOwn(annotations, name))))
    throw exportInvalid(`${IMAGE} brings names for its image`);
}

function parsed<T>(schema: z.ZodType<T>, texts: ReadonlyMap<string, Buffer>, name: string): T {
  const { success, data } = schema.safeParse(
    parseJson(texts.get(name) ?? Buffer.alloc(0), `${IMAGE}: ${name}`),
  );
  if (!success) throw exportInvalid(`${IMAGE}: ${name} does not describe one image`);
  return data;
}

/** Of entries with one name the last one counts, as it does for the engine. */
async function readTexts(path: string, signal: AbortSignal): Promise<ReadonlyMap<string, Buffer>> {
  const tar = extract();
  const arriving = pipeline(createReadStream(path), tar, { signal });
  arriving.catch(() => undefined);
  const texts = new Map<string, Buffer>();
  let kept = 0;
  try {
    for await (const entry of tar) {
      const { name, size = 0, type } = entry.header;
      if (type !== "file" || size > TEXT_BYTES_MAX || !isText(name)) {
        entry.resume();
        continue;
      }
      kept += size;
      if (kept > TEXTS_BYTES_MAX) throw exportInvalid(`${IMAGE} has too many files that describe it`);
      texts.set(name, await buffer(entry));
    }
    await arriving;
  } catch (error) {
    signal.throwIfAborted();
    throw isFault(error) ? error : exportInvalid(`${IMAGE} is not a whole tar file`);
  }
  return texts;
}

function isText(name: string): boolean {
  return /^(?:manifest|index)\.json$|^repositories$|^[0-9a-f]{64}\.json$|^blobs\/sha256\/[0-9a-f]{64}$/.test(
    name,
  );
}
