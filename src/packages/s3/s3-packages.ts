/**
 * Archives as objects of a bucket, `PREFIX AUTHOR/NAME:VERSION@CHECKSUM.difypkg`: the paths of the folder of `disk/`, so
 * that either can be copied to the other. What `keep` has returned is in the bucket, and whole.
 */
import { rm } from "node:fs/promises";
import { Fault, isFault } from "../../domain/fault.ts";
import { parsePackageRef } from "../../domain/package-ref.ts";
import type { Log } from "../../observe/log.ts";
import { backoffMs } from "../../util/backoff.ts";
import type { Clock } from "../../util/clock.ts";
import { KeyedLock } from "../../util/keyed-lock.ts";
import type { OpenedPackage, PackageStore, StagedFile } from "../package-store.ts";
import { Bucket, RequestFailed } from "./bucket.ts";
import { digestOf } from "./file-digest.ts";
import { openPackageCache, type PackageCache } from "./package-cache.ts";
import type { BucketSettings, CacheSettings } from "./settings.ts";

export interface S3PackagesOptions {
  readonly settings: BucketSettings & CacheSettings;
  /** For uploads under way and fetched archives; made when it is not there. */
  readonly folder: string;
  /** How long the start tries to reach a server that does not answer. */
  readonly startWaitMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Resolves once the bucket can be read and written. Throws `config_invalid` where it answers that it cannot be, and
 * `package_store_unavailable` where nothing answers for `startWaitMs`; both name endpoint, bucket and cause.
 */
export async function openS3Packages(options: S3PackagesOptions): Promise<PackageStore & AsyncDisposable> {
  const { folder, settings, clock, log } = options;
  const bucket = new Bucket({ settings, clock });
  try {
    const isConditional = await reach(bucket, options);
    const cache = await openPackageCache({ folder, settings, log });
    return new S3Packages({ bucket, cache, isConditional, settings, log });
  } catch (error) {
    bucket.close();
    throw error;
  }
}

interface Parts {
  readonly bucket: Bucket;
  readonly cache: PackageCache;
  /** The server puts an object only where there is none, if asked to. */
  readonly isConditional: boolean;
  readonly settings: BucketSettings;
  readonly log: Log;
}

interface FetchedPackage extends OpenedPackage {
  /** Its bytes are those that Berth has put. */
  readonly isVouchedFor: boolean;
}

class S3Packages implements PackageStore, AsyncDisposable {
  readonly #parts: Parts;
  /** By identifier: who opens what another is fetching finds it in the cache. */
  readonly #fetching = new KeyedLock<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async stage(): Promise<StagedFile> {
    const path = await this.#parts.cache.newPath();
    return { path, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
  }

  async keep(staged: StagedFile, identifier: string): Promise<void> {
    const key = this.#keyOf(identifier);
    const digest = await digestOf(staged.path);
    const { bucket, cache, log, isConditional: conditional } = this.#parts;
    const put = (onlyNew: boolean) =>
      this.#speak(() => bucket.putFile(key, staged.path, { digest, onlyNew, conditional }));
    await this.#fetching.run(identifier, async () => {
      if ((await put(true)) !== "created") {
        if (await this.#isWhole(identifier, key)) return;
        log.warn({ op: "package_store.mend", identifier }, "a damaged archive is replaced");
        await put(false);
      }
      await (await cache.add(identifier, staged.path, digest))[Symbol.asyncDispose]();
    });
    await rm(staged.path, { force: true });
  }

  async has(identifier: string): Promise<boolean> {
    const key = this.#keyOf(identifier);
    return await this.#speak(() => this.#parts.bucket.exists(key));
  }

  async open(identifier: string, signal?: AbortSignal): Promise<OpenedPackage> {
    const key = this.#keyOf(identifier);
    return await this.#fetching.run(identifier, async () => {
      signal?.throwIfAborted();
      return (await this.#parts.cache.find(identifier)) ?? (await this.#fetch(identifier, key, signal));
    });
  }

  async remove(identifier: string): Promise<void> {
    const key = this.#keyOf(identifier);
    await this.#speak(() => this.#parts.bucket.remove(key));
    await this.#parts.cache.remove(identifier);
  }

  async ping(signal: AbortSignal): Promise<void> {
    await this.#speak(() => this.#parts.bucket.ping(signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#parts.bucket.close();
  }

  /** Reads what is there. An archive that tells nothing about itself, because Berth did not put it, gives way. */
  async #isWhole(identifier: string, key: string): Promise<boolean> {
    try {
      await using fetched = await this.#fetch(identifier, key);
      return fetched.isVouchedFor;
    } catch (error) {
      if (isFault(error, "package_damaged") || isFault(error, "package_not_found")) return false;
      throw error;
    }
  }

  async #fetch(identifier: string, key: string, signal?: AbortSignal): Promise<FetchedPackage> {
    const { bucket, cache } = this.#parts;
    const path = await cache.newPath();
    try {
      const got = await this.#speak(() => bucket.getFile(key, path, signal));
      if (got === undefined) throw notFound(identifier);
      if (got.sha256Put !== undefined && got.sha256Put !== got.sha256) throw damaged(identifier);
      return { ...(await cache.add(identifier, path, got)), isVouchedFor: got.sha256Put !== undefined };
    } finally {
      await rm(path, { force: true });
    }
  }

  /** Requests that failed become Faults here. */
  async #speak<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      const { endpoint, bucket } = this.#parts.settings;
      throw new Fault("package_store_unavailable", "The package store cannot be reached; try again later.", {
        context: { endpoint, bucket },
        cause: error,
      });
    }
  }

  /** Only what parses as an identifier becomes a key. */
  #keyOf(identifier: string): string {
    const { author, name, version, checksum } = parsePackageRef(identifier);
    return `${this.#parts.settings.prefix}${author}/${name}:${version}@${checksum}.difypkg`;
  }
}

function notFound(identifier: string): Fault {
  return new Fault("package_not_found", `The package ${identifier} is not here; upload it first.`, {
    details: { field: "identifier", value: identifier },
  });
}

function damaged(identifier: string): Fault {
  return new Fault(
    "package_damaged",
    `The stored archive is not that of ${identifier} any more: upload it again.`,
    { details: { field: "identifier", value: identifier } },
  );
}

/** Tries until the bucket has answered, and tells whether it puts on condition. */
async function reach(bucket: Bucket, options: S3PackagesOptions): Promise<boolean> {
  const { settings, startWaitMs, clock, log } = options;
  const deadline = clock.now() + startWaitMs;
  for (let failures = 1; ; failures += 1) {
    try {
      return await probe(bucket, `${settings.prefix}.berth-probe`);
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      const left = deadline - clock.now();
      if (error.failure.kind !== "passing" || left <= 0) throw startFailure(error, options);
      const fields = {
        op: "package_store.open",
        ok: false,
        endpoint: settings.endpoint,
        bucket: settings.bucket,
      };
      if (failures === 1) log.warn({ ...fields, err: error.message }, "the bucket is waited for");
      const delayMs = backoffMs(failures, { firstMs: settings.retryFirstMs, maxMs: settings.retryMaxMs });
      await clock.sleep(Math.min(delayMs, Math.max(1, left)), new AbortController().signal);
    }
  }
}

/**
 * Puts a small object on condition that it is not there, and once more where it was not: a server that says so twice
 * does not look. Shows too that the credentials may write; the ping, that they may read.
 */
async function probe(bucket: Bucket, key: string): Promise<boolean> {
  const put = () => bucket.putText(key, "berth\n", { onlyNew: true });
  const first = await put();
  const outcome = first === "created" ? await put() : first;
  if (outcome === "unsupported") await bucket.putText(key, "berth\n", { onlyNew: false });
  await bucket.ping();
  return outcome === "exists";
}

function startFailure(error: RequestFailed, { settings, startWaitMs }: S3PackagesOptions): Fault {
  const where = `The bucket ${settings.bucket} at ${settings.endpoint}`;
  if (error.failure.kind === "passing") {
    return new Fault(
      "package_store_unavailable",
      `${where} was not reached within ${startWaitMs / 1000} s: ${error.failure.why}.`,
    );
  }
  return new Fault("config_invalid", `${where} cannot be used: ${error.failure.why}.`);
}
