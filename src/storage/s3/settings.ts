/** Where the bucket is and how patiently it is spoken to. */
export interface BucketSettings {
  /** `https://host[:port]`; `http` too. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** Put before every key; empty, or ending in `/`. */
  readonly prefix: string;
  /** `https://endpoint/bucket/key` instead of `https://bucket.endpoint/key`. */
  readonly pathStyle: boolean;
  /** Undefined: what the machine offers (environment, files of the vendor's tools, role of the machine). */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** PEM text of all authorities that are trusted; undefined: the public ones that Node brings. */
  readonly caBundle: string | undefined;
  readonly connectTimeoutMs: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
  /** Of one whole transfer, however it crawls. */
  readonly transferTimeoutMs: number;
  /** How often one request is made at most, and the delays in between. */
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
  /** Of all files that nobody uses at the moment; the least recently used go first. */
  readonly cacheBytesMax: number;
  /** Unfinished files older than this were left by a process that died: the start removes them. */
  readonly stagedAgeMaxMs: number;
  /** The same for what a process had opened: longer than any build. */
  readonly openedAgeMaxMs: number;
}
