import type { Readable } from "node:stream";
import { z } from "zod";
import { Fault } from "../../domain/fault.ts";
import { type DockerClient, parseAnswer } from "./client.ts";
import { checkName } from "./errors.ts";
import { readNdjson } from "./framing.ts";
import { inspectImage } from "./images.ts";

/** By its id, so that the archive has no names. The engine answers when it has collected everything. */
export async function saveImage(
  client: DockerClient,
  { id, timeoutMs }: { readonly id: string; readonly timeoutMs: number },
  signal: AbortSignal,
): Promise<Readable> {
  if (!id.startsWith("sha256:")) {
    throw new Fault("invalid_input", `id is ${JSON.stringify(id)}; accepted: sha256:<64 hex digits>.`, {
      details: { field: "id", value: id, accepted: "sha256:<64 hex digits>" },
    });
  }
  // The engine answers 500 for an image that does not exist.
  if ((await inspectImage(client, id, signal)) === undefined)
    throw new Fault("not_found", `The Engine has no image ${id}.`);
  const path = `/images/${checkName("image", id)}/get`;
  return await client.stream({ method: "GET", path, timeoutMs }, signal);
}

const LoadLine = z.object({ errorDetail: z.object({ message: z.string() }).optional() });
const LOAD_LINE_BYTES_MAX = 64 << 10;

/** Failures arrive as a line of an answer with status 200. */
export async function loadImage(
  client: DockerClient,
  { tar, timeoutMs }: { readonly tar: Readable; readonly timeoutMs: number },
  signal: AbortSignal,
): Promise<void> {
  const request = { method: "POST", path: "/images/load", query: { quiet: "1" }, tar, timeoutMs } as const;
  const answer = await client.stream(request, signal);
  for await (const line of readNdjson(answer, { lineBytesMax: LOAD_LINE_BYTES_MAX })) {
    const { errorDetail } = parseAnswer(LoadLine, line, "the loading of an image");
    if (errorDetail !== undefined)
      throw new Fault("engine_refused", `The Engine refused (load): ${errorDetail.message}`);
  }
}
