import type { Log } from "../../observe/log.ts";
import { reach } from "../../observe/reach.ts";
import type { Clock } from "../../util/clock.ts";
import { type Bucket, RequestFailed } from "./bucket.ts";
import type { BucketSettings } from "./settings.ts";

export interface ReachBucketOptions {
  readonly settings: BucketSettings;
  /** How long to try a server that does not answer. */
  readonly startWaitMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Resolves once the bucket has proved usable, with whether it supports conditional writes. Throws
 * `package_store_unavailable`, which names endpoint, bucket and cause.
 */
export async function reachBucket(bucket: Bucket, options: ReachBucketOptions): Promise<boolean> {
  const { settings, startWaitMs, clock, log, signal } = options;
  return await reach(
    {
      server: `The bucket ${settings.bucket} at ${settings.endpoint}`,
      code: "package_store_unavailable",
      op: "package_store.connect",
      waitMs: startWaitMs,
      clock,
      log,
      signal,
      explain: (error) =>
        error instanceof RequestFailed
          ? { reason: error.failure.why, isFinal: error.failure.kind !== "passing" }
          : undefined,
    },
    () => probe(bucket, `${settings.prefix}.berth-probe`),
  );
}

/**
 * Stores a small object on the condition that it does not exist, and again where that succeeded: a server that creates
 * it twice ignores conditions. This also proves that the credentials may write; the ping, that they may read.
 */
async function probe(bucket: Bucket, key: string): Promise<boolean> {
  const put = () => bucket.putText(key, "berth\n", { onlyNew: true });
  const first = await put();
  const outcome = first === "created" ? await put() : first;
  if (outcome === "unsupported") await bucket.putText(key, "berth\n", { onlyNew: false });
  await bucket.ping();
  return outcome === "exists";
}
