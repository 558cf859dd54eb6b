/**
 * Where Packages come from besides an upload. A source is asked for one archive and writes it to a folder; what is in
 * the archive is nobody's business here. A download goes on where an earlier one of the same source stopped, where the
 * server lets it.
 *
 * Failures, each for who can do something about it: `source_not_found` (whoever asked), `source_forbidden` (the
 * operator's token), `source_rate_limited` (time: `details.retry_at`), `source_unreachable` and `source_timeout` (they
 * may pass), `source_address_refused` (the operator's networks), `source_digest_mismatch` (these bytes are not the ones
 * that were asked for), `source_unusable` (the server answers what is no download), `package_too_large`.
 */
import type { Proxies } from "../domain/proxy.ts";
import type { Source } from "../domain/source.ts";

export interface Sources {
  /** Resolves once the archive's bytes are all there and have the digest that the source names, where it names one. */
  fetch(request: FetchRequest, hooks: FetchHooks, signal: AbortSignal): Promise<FetchedArchive>;
}

export interface FetchRequest<S extends Source = Source> {
  readonly source: S;
  /** The caller's, with what an earlier try left in it. */
  readonly folder: string;
}

export interface FetchedArchive {
  readonly path: string;
  readonly bytes: number;
}

export interface FetchHooks {
  /** Now and then, and at the end. `total` is what the server says, if it does. */
  readonly onProgress: (count: { readonly done: number; readonly total?: number }) => void;
  /** What is worth knowing: a download that was cut and goes on. */
  readonly onNote: (message: string) => void;
}

export interface SourceSettings extends DownloadSettings {
  readonly github: GithubSettings;
  readonly marketplace: MarketplaceSettings;
  /** Addresses and networks (`10.0.0.0/8`) that are no public ones and may be reached all the same. */
  readonly privateNetworks: readonly string[];
  readonly proxies: Proxies;
  readonly redirectsMax: number;
}

export interface GithubSettings {
  /** Serves the files of public releases. */
  readonly url: string;
  readonly apiUrl: string;
  /** With it, releases are asked for over the API. */
  readonly token: string | undefined;
}

export interface MarketplaceSettings {
  readonly url: string;
  readonly token: string | undefined;
}

export interface DownloadSettings {
  /** Of one archive. */
  readonly bytesMax: number;
  /** Without one byte, also before the first. */
  readonly idleMs: number;
  /** Of one `fetch` with all its tries. */
  readonly totalMs: number;
  /** Connections that one `fetch` opens in a row without getting a byte further. */
  readonly triesMax: number;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  readonly progressMs: number;
}
