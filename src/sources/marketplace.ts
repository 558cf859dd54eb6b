import type { SourceOf } from "../domain/source.ts";
import type { Downloader } from "./download.ts";
import type { FetchedArchive, FetchHooks, FetchRequest, MarketplaceSettings } from "./sources.ts";

/** Downloads an archive by its identifier. The caller checks that it is that package by reading it. */
export function fetchFromMarketplace(
  { download, marketplace }: { readonly download: Downloader; readonly marketplace: MarketplaceSettings },
  { source, folder }: FetchRequest<SourceOf<"marketplace">>,
  hooks: FetchHooks,
  signal: AbortSignal,
): Promise<FetchedArchive> {
  const url = new URL(`${marketplace.url}/api/v1/plugins/download`);
  url.searchParams.set("unique_identifier", source.identifier);
  return download.file(
    {
      ...{ url: url.href, folder, key: `marketplace ${url.href}`, token: marketplace.token },
      tokenSetting: "BERTH_MARKETPLACE_TOKEN",
    },
    hooks,
    signal,
  );
}
