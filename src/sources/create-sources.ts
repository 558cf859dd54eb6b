import type { SecureContext } from "node:tls";
import { Fault } from "../domain/fault.ts";
import { formatSource, type SourceOf } from "../domain/source.ts";
import { systemClock } from "../util/clock.ts";
import { Deadline } from "../util/deadline.ts";
import { createAddressPolicy, type Lookup, systemLookup } from "./address.ts";
import { createDownloader, type Downloader } from "./download.ts";
import { fetchFromGithub } from "./github.ts";
import { createHttpClient } from "./http-client.ts";
import type {
  FetchedArchive,
  FetchHooks,
  FetchRequest,
  MarketplaceSettings,
  SourceSettings,
  Sources,
} from "./sources.ts";

export interface SourcesDeps {
  readonly settings: SourceSettings;
  /** Authorities for the servers' certificates. */
  readonly trust: SecureContext;
  /** Finds the addresses of a name; by default the system's lookup. */
  readonly lookup?: Lookup;
}

export function createSources({ settings, trust, lookup = systemLookup }: SourcesDeps): Sources {
  const { proxies, redirectsMax, privateNetworks, totalMs } = settings;
  const policy = createAddressPolicy({ allowed: privateNetworks, lookup });
  const client = createHttpClient({ policy, proxies, trust, redirectsMax });
  const tools = { ...settings, download: createDownloader({ client, settings }) };
  return {
    async fetch(request, hooks, signal) {
      const late = () => tooSlow(request, totalMs);
      using deadline = new Deadline({ clock: systemClock, ms: totalMs, late }, signal);
      return await fetchOne(tools, request, hooks, deadline.signal);
    },
  };
}

async function fetchOne(
  tools: SourceSettings & { readonly download: Downloader },
  { source, folder }: FetchRequest,
  hooks: FetchHooks,
  signal: AbortSignal,
): Promise<FetchedArchive> {
  switch (source.type) {
    case "github":
      return await fetchFromGithub(tools, { source, folder }, hooks, signal);
    case "marketplace":
      return await fetchFromMarketplace(tools, { source, folder }, hooks, signal);
    case "url":
      return await fetchFromUrl(tools, { source, folder }, hooks, signal);
    default:
      return source satisfies never;
  }
}

function tooSlow({ source }: FetchRequest, totalMs: number): Fault {
  return new Fault(
    "source_timeout",
    `${formatSource(source)} was not complete after ${totalMs} ms; the next try continues with what has arrived.`,
    { details: { clock: "total", limit_ms: totalMs } },
  );
}

/** Downloads an archive by its identifier. The caller checks that it is that package by reading it. */
function fetchFromMarketplace(
  { download, marketplace }: { readonly download: Downloader; readonly marketplace: MarketplaceSettings },
  { source, folder }: FetchRequest<SourceOf<"marketplace">>,
  hooks: FetchHooks,
  signal: AbortSignal,
): Promise<FetchedArchive> {
  const url = new URL(`${marketplace.url}/api/v1/plugins/download`);
  url.searchParams.set("unique_identifier", source.identifier);
  return download.file(
    {
      url: url.href,
      folder,
      key: `marketplace ${url.href}`,
      token: marketplace.token,
      tokenSetting: "BERTH_MARKETPLACE_TOKEN",
    },
    hooks,
    signal,
  );
}

/** Downloads from an address with a digest. No token is sent to an address that a tenant names. */
function fetchFromUrl(
  { download }: { readonly download: Downloader },
  { source, folder }: FetchRequest<SourceOf<"url">>,
  hooks: FetchHooks,
  signal: AbortSignal,
): Promise<FetchedArchive> {
  const { url, sha256 } = source;
  return download.file({ url, sha256, key: `url ${sha256} ${url}`, folder }, hooks, signal);
}
