import type { SourceOf } from "../domain/source.ts";
import type { Downloader } from "./download.ts";
import type { FetchedArchive, FetchHooks, FetchRequest, MarketplaceSettings } from "./sources.ts";

/** The marketplace serves an archive under its identifier; that the archive is the one that it names, reading tells. */
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
