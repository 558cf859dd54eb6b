/**
 * The Sources contract: fetches packages from elsewhere. A source writes one archive to a folder without reading it. A
 * download resumes where an earlier one of the same source stopped, if the server allows it.
 *
 * Faults, by who can fix them: `source_not_found` (the requester), `source_forbidden` (the operator's token),
 * `source_rate_limited` (time: `details.retry_at`), `source_unreachable` and `source_timeout` (they may pass),
 * `source_address_refused` (the operator's networks), `source_digest_mismatch` (the bytes are not the requested ones),
 * `source_unusable` (the answer is not a download), `package_too_large`.
 */
import type { Proxies } from "../domain/proxy.ts";
import type { Source } from "../domain/source.ts";

export interface Sources {
  /** Resolves once the archive is complete and has the digest that the source names, if any. */
  fetch(request: FetchRequest, hooks: FetchHooks, signal: AbortSignal): Promise<FetchedArchive>;
}

export interface FetchRequest<S extends Source = Source> {
  readonly source: S;
  /** The caller's folder, with the partial file of an earlier try. */
  readonly folder: string;
}

export interface FetchedArchive {
  readonly path: string;
  readonly bytes: number;
}

export interface FetchHooks {
  /** Called each `progressMs` and at the end, in bytes. `total` is the length that the server announced, if any. */
  readonly onProgress: (count: { readonly done: number; readonly total?: number }) => void;
  /** Called with a sentence for the task's log: an interrupted download resumes, or starts over. */
  readonly onNote: (message: string) => void;
}

export interface SourceSettings extends DownloadSettings {
  readonly github: GithubSettings;
  readonly marketplace: MarketplaceSettings;
  /** Addresses and networks (`10.0.0.0/8`) that are not public and are allowed. */
  readonly privateNetworks: readonly string[];
  readonly proxies: Proxies;
  readonly redirectsMax: number;
}

export interface GithubSettings {
  /** Serves the files of public releases. */
  readonly url: string;
  readonly apiUrl: string;
  /** With a token releases are read over the API. */
  readonly token: string | undefined;
}

export interface MarketplaceSettings {
  readonly url: string;
  readonly token: string | undefined;
}

export interface DownloadSettings {
  /** Size of one archive. */
  readonly bytesMax: number;
  /** Time without a byte, also before the first. */
  readonly idleMs: number;
  /** Time of one `fetch` with all its tries. */
  readonly totalMs: number;
  /** Connections in a row that one `fetch` opens without a further byte. */
  readonly triesMax: number;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  readonly progressMs: number;
}
