import type { Readable } from "node:stream";
import { z } from "zod";
import { Fault } from "../../domain/fault.ts";
import type { CommitSpec, EngineImage, LabelFilter } from "../engine.ts";
import { type DockerClient, parseAnswer } from "./client.ts";
import { checkName, unexpected } from "./errors.ts";
import { readNdjson } from "./framing.ts";
import { inspectContainer } from "./inspect.ts";
import { labelQuery, matches, parseLabelMap, replacingEnv, replacingLabels } from "./translate.ts";

const Labels = z.record(z.string(), z.string()).nullish();

const Inspected = z.object({
  Id: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  RepoTags: z.array(z.string()).nullish(),
  Size: z.number(),
  Created: z.string(),
  Config: z.object({ Labels, Env: z.array(z.string()).nullish() }).nullish(),
  RootFS: z.object({ Layers: z.array(z.string()).nullish() }).nullish(),
});

const Listed = z.array(
  z.object({
    Id: z.string(),
    RepoTags: z.array(z.string()).nullish(),
    Labels,
    Size: z.number(),
    Created: z.number(),
  }),
);

export interface ImageDetail {
  readonly image: EngineImage;
  /** Environment that a container made from it would inherit. */
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export async function inspectImage(
  client: DockerClient,
  reference: string,
  signal: AbortSignal,
): Promise<ImageDetail | undefined> {
  const path = `/images/${checkName("image", reference)}/json`;
  const { status, body } = await client.call({ method: "GET", path, accept: [404] }, signal);
  if (status === 404) return undefined;
  const found = parseAnswer(Inspected, body, "an image");
  const labels = found.Config?.Labels ?? {};
  const image = {
    id: found.Id,
    tags: tagsOf(found.RepoTags),
    labels: parseLabelMap(labels),
    bytes: found.Size,
    createdAt: new Date(found.Created),
    layers: found.RootFS?.Layers ?? [],
  };
  return { image, env: found.Config?.Env ?? [], labels };
}

export async function listImages(
  client: DockerClient,
  labels: LabelFilter,
  signal: AbortSignal,
): Promise<readonly EngineImage[]> {
  const query = { filters: JSON.stringify({ label: labelQuery(labels) }) };
  const { body } = await client.call({ method: "GET", path: "/images/json", query }, signal);
  return parseAnswer(Listed, body, "a list of images")
    .map((found) => ({
      id: found.Id,
      tags: tagsOf(found.RepoTags),
      labels: parseLabelMap(found.Labels),
      bytes: found.Size,
      createdAt: new Date(found.Created * 1_000),
    }))
    .filter((image) => matches(image.labels, labels));
}

export async function removeImage(
  client: DockerClient,
  reference: string,
  signal: AbortSignal,
): Promise<void> {
  const path = `/images/${checkName("image", reference)}`;
  await client.call({ method: "DELETE", path, accept: [404] }, signal);
}

const ImportLine = z.object({
  status: z.string().optional(),
  errorDetail: z.object({ message: z.string() }).optional(),
});
/** The longest line of an import's answer is the image's id. */
const IMPORT_LINE_BYTES_MAX = 64 << 10;

/** Failures arrive as a line of an answer with status 200. */
export async function importImage(
  client: DockerClient,
  options: { spec: { reference: string; labels: Readonly<Record<string, string>> }; tar: Readable },
  signal: AbortSignal,
): Promise<string> {
  const { spec, tar } = options;
  const { repository, tag } = splitReference(checkName("image", spec.reference));
  // Values in the engine's grammar: quoted, without variables to expand.
  const quote = (text: string) => JSON.stringify(text).replaceAll("$", "\\$");
  const labels = Object.entries(spec.labels).map(([key, value]) => `${key}=${quote(value)}`);
  const query = {
    fromSrc: "-",
    repo: repository,
    tag,
    ...(labels.length === 0 ? {} : { changes: `LABEL ${labels.join(" ")}` }),
  };
  const answer = await client.stream({ method: "POST", path: "/images/create", query, tar }, signal);
  let id: string | undefined;
  for await (const line of readNdjson(answer, { lineBytesMax: IMPORT_LINE_BYTES_MAX })) {
    const { status, errorDetail } = parseAnswer(ImportLine, line, "an import");
    if (errorDetail !== undefined)
      throw new Fault("engine_refused", `The Engine refused (import): ${errorDetail.message}`);
    if (status?.startsWith("sha256:")) id = status;
  }
  if (id === undefined) throw unexpected("an import without an image");
  return id;
}

/**
 * The engine *merges* the commit into the configuration of the container, so everything that is not in the spec is
 * removed by name: a variable without a value is unset in every container made from the image, a label becomes empty.
 * Only `PATH` stays if the spec does not set it.
 */
export async function commitContainer(
  client: DockerClient,
  options: { id: string; spec: CommitSpec; timeoutMs: number },
  signal: AbortSignal,
): Promise<string> {
  const { id, spec, timeoutMs } = options;
  const { repository, tag } = splitReference(checkName("image", spec.reference));
  const before = await inspectContainer(client, id, signal);
  if (before === undefined) throw new Fault("not_found", `The Engine has no Container ${id}.`);
  // The engine finishes even if the caller hangs up, so the call is not aborted.
  const { body } = await client.call(
    {
      method: "POST",
      path: "/commit",
      query: { container: id, repo: repository, tag, pause: "1" },
      body: {
        Env: replacingEnv(spec.env, before.env),
        Labels: replacingLabels(spec.labels, before.labels),
        Entrypoint: [],
        Cmd: [...spec.command],
        WorkingDir: spec.workingDir,
        User: spec.user,
      },
      timeoutMs,
    },
    new AbortController().signal,
  );
  const { Id } = parseAnswer(z.object({ Id: z.string() }), body, "a commit");
  if (signal.aborted) {
    // By its id: the reference may name another image by now.
    await removeImage(client, Id, AbortSignal.timeout(timeoutMs));
    throw signal.reason;
  }
  const made = await inspectImage(client, Id, signal);
  if (made === undefined) throw unexpected("a commit whose image is not there");
  return made.image.id;
}

function splitReference(reference: string): { repository: string; tag: string } {
  const colon = reference.lastIndexOf(":");
  if (colon > reference.lastIndexOf("/") && !reference.startsWith("sha256:")) {
    return { repository: reference.slice(0, colon), tag: reference.slice(colon + 1) };
  }
  throw new Fault("invalid_input", `reference is ${JSON.stringify(reference)}; accepted: repository:tag.`, {
    details: { field: "reference", value: reference, accepted: "repository:tag" },
  });
}

function tagsOf(tags: readonly string[] | null | undefined): readonly string[] {
  return (tags ?? []).filter((tag) => tag !== "<none>:<none>");
}
