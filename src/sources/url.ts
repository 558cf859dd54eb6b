import type { SourceOf } from "../domain/source.ts";
import type { Downloader } from "./download.ts";
import type { FetchedArchive, FetchHooks, FetchRequest } from "./sources.ts";

/** Downloads from an address with a digest. No token is sent to an address that a tenant names. */
export function fetchFromUrl(
  { download }: { readonly download: Downloader },
  { source, folder }: FetchRequest<SourceOf<"url">>,
  hooks: FetchHooks,
  signal: AbortSignal,
): Promise<FetchedArchive> {
  const { url, sha256 } = source;
  return download.file({ url, sha256, key: `url ${sha256} ${url}`, folder }, hooks, signal);
}
