/**
 * Fetches an asset of a release. Without a token it downloads the file as a browser does, which uses none of the API's few
 * requests an hour; with one it uses the API, the only way to private releases.
 */
import { z } from "zod";
import { Fault } from "../domain/fault.ts";
import type { SourceOf } from "../domain/source.ts";
import type { Download, Downloader } from "./download.ts";
import { unusable } from "./failures.ts";
import type { FetchedArchive, FetchHooks, FetchRequest, GithubSettings } from "./sources.ts";

interface GithubTools {
  readonly download: Downloader;
  readonly github: GithubSettings;
}
type Github = SourceOf<"github">;

const TOKEN_SETTING = "BERTH_GITHUB_TOKEN";

/** The used part of the API's answer; older assets have no `digest`. */
const Release = z.object({
  assets: z.array(
    z.object({
      id: z.int().nonnegative(),
      name: z.string(),
      digest: z
        .string()
        .regex(/^sha256:[0-9a-f]{64}$/)
        .nullish()
        .catch(undefined),
    }),
  ),
});

export async function fetchFromGithub(
  tools: GithubTools,
  { source, folder }: FetchRequest<Github>,
  hooks: FetchHooks,
  signal: AbortSignal,
): Promise<FetchedArchive> {
  const place =
    tools.github.token === undefined ? publicAsset(tools, source) : await apiAsset(tools, source, signal);
  return await tools.download.file({ ...place, folder, tokenSetting: TOKEN_SETTING }, hooks, signal);
}

function publicAsset({ github }: GithubTools, { repo, release, asset }: Github): Omit<Download, "folder"> {
  const url = `${github.url}/${repo}/releases/download/${encodeURIComponent(release)}/${encodeURIComponent(asset)}`;
  return { url, key: `github ${url}` };
}

/** Makes the address of the asset's number instead of taking it from the answer, because the token is sent there. */
async function apiAsset(
  { download, github }: GithubTools,
  source: Github,
  signal: AbortSignal,
): Promise<Omit<Download, "folder">> {
  const repository = `${github.apiUrl}/repos/${source.repo}`;
  const { token } = github;
  const text = await download.text(
    {
      url: `${repository}/releases/tags/${encodeURIComponent(source.release)}`,
      headers: { accept: "application/vnd.github+json" },
      token,
      tokenSetting: TOKEN_SETTING,
    },
    signal,
  );
  const { assets } = parseRelease(text, source);
  const asset = assets.find(({ name }) => name === source.asset);
  if (asset === undefined) throw assetMissing(source, assets);
  return {
    url: `${repository}/releases/assets/${asset.id}`,
    key: `github ${repository} ${asset.id}`,
    headers: { accept: "application/octet-stream" },
    token,
    sha256: asset.digest?.slice("sha256:".length),
  };
}

function parseRelease(text: string, { repo, release }: Github): z.output<typeof Release> {
  try {
    return Release.parse(JSON.parse(text));
  } catch {
    throw unusable(`The answer of GitHub's API is not the release ${release} of ${repo}.`);
  }
}

/** Number of names that a message shows: a release may have a thousand. */
const NAMES_MAX = 20;

function assetMissing(source: Github, assets: readonly { readonly name: string }[]): Fault {
  const names = assets.slice(0, NAMES_MAX).map(({ name }) => name);
  const there = names.length === 0 ? "nothing" : names.join(", ");
  return new Fault(
    "source_not_found",
    `The release ${source.release} of ${source.repo} has no ${source.asset}; it has ${there}.`,
    { details: { field: "source.asset", value: source.asset, accepted: names } },
  );
}
