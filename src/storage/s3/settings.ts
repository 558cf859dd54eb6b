/** Address of the bucket, and how long to try. */
export interface BucketSettings {
  /** `https://host[:port]`; `http` too. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** In front of every key; empty, or ending in `/`. */
  readonly prefix: string;
  /** `https://endpoint/bucket/key` instead of `https://bucket.endpoint/key`. */
  readonly pathStyle: boolean;
  /** Undefined: what the machine offers (environment, files of the vendor's tools, role of the machine). */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** PEM text of all trusted authorities; undefined: the public ones that Node includes. */
  readonly caBundle: string | undefined;
  readonly connectTimeoutMs: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
  /** For one whole transfer, however slow. */
  readonly transferTimeoutMs: number;
  /** Attempts per request, and the delays between them. */
  readonly attemptsMax: number;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
}

export const BUCKET_DEFAULTS = Object.freeze({
  connectTimeoutMs: 5_000,
  idleTimeoutMs: 20_000,
  transferTimeoutMs: 600_000,
  attemptsMax: 4,
  retryFirstMs: 200,
  retryMaxMs: 2_000,
});

export interface CacheSettings {
  /** For all files that are not in use; the least recently used are evicted first. */
  readonly cacheBytesMax: number;
  /** Unfinished files older than this belong to a process that died: the start removes them. */
  readonly stagedAgeMaxMs: number;
  /** The same for archives that a process had opened: longer than any build. */
  readonly openedAgeMaxMs: number;
}
