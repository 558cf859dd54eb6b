import type { Log } from "../../observe/log.ts";
import { reach } from "../../observe/reach.ts";
import type { Clock } from "../../util/clock.ts";
import { type Bucket, RequestFailed } from "./bucket.ts";
import type { PutHeaders } from "./client.ts";
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
 * Resolves once the bucket has proved usable and knows what puts may carry; logs what the server refuses or ignores of
 * it. Throws `package_store_unavailable`, which names endpoint, bucket and cause.
 */
export async function reachBucket(bucket: Bucket, options: ReachBucketOptions): Promise<void> {
  const { settings, startWaitMs, clock, log, signal } = options;
  const accepted = await reach(
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
  bucket.accepts(accepted);
  if (!accepted.checksum || !accepted.condition)
    log.info({ op: "package_store.probe", ok: true, ...accepted }, "puts go without what the server refuses");
}

const CONTENT = Buffer.from("berth\n");

/**
 * Stores a small object as packages are stored, with a checksum and then on the condition that it does not exist, and
 * without what the server refuses: a server that stores it again on the condition ignores conditions. This also proves
 * that the credentials may write; the ping, that they may read.
 */
async function probe(bucket: Bucket, key: string): Promise<PutHeaders> {
  const put = (headers: PutHeaders) => bucket.tryPut(key, CONTENT, headers);
  const checksum = (await outcomeOf(put({ checksum: true, condition: false }))) !== "unsupported";
  if (!checksum) await put({ checksum, condition: false });
  const outcome = await outcomeOf(put({ checksum, condition: true }));
  await bucket.ping();
  return { checksum, condition: outcome === "exists" };
}

async function outcomeOf(putting: Promise<void>): Promise<"stored" | "exists" | "unsupported"> {
  try {
    await putting;
    return "stored";
  } catch (error) {
    const kind = error instanceof RequestFailed ? error.failure.kind : undefined;
    if (kind === "exists" || kind === "unsupported") return kind;
    throw error;
  }
}
