/**
 * Archives as objects of a bucket, `PREFIX AUTHOR/NAME:VERSION@CHECKSUM.difypkg`: the paths of the folder of `disk/`, so
 * that either can be copied to the other. What `keep` has returned is in the bucket, and whole.
 */
import { rm } from "node:fs/promises";
import { Fault, isFault } from "../../domain/fault.ts";
import { IDENTIFIER_PATTERN, parsePackageRef } from "../../domain/package-ref.ts";
import type { Log } from "../../observe/log.ts";
import { KeyedLock } from "../../util/keyed-lock.ts";
import type { OpenedPackage, PackageStore, StagedFile, StoredArchive } from "../package-store.ts";
import { Bucket, RequestFailed } from "./bucket.ts";
import { digestOf } from "./file-digest.ts";
import { openPackageCache, type PackageCache } from "./package-cache.ts";
import { type ReachBucketOptions, reachBucket } from "./reach-bucket.ts";
import type { BucketSettings, CacheSettings } from "./settings.ts";

const SUFFIX = ".difypkg";

export interface S3PackagesOptions extends ReachBucketOptions {
  readonly settings: BucketSettings & CacheSettings;
  /** For uploads under way and fetched archives; made when it is not there. */
  readonly folder: string;
}

/**
 * Resolves once the bucket can be read and written. Throws `package_store_unavailable`, which names endpoint, bucket and
 * cause, at once where waiting mends nothing, else when nothing has answered for `startWaitMs`.
 */
export async function openS3Packages(options: S3PackagesOptions): Promise<PackageStore & AsyncDisposable> {
  const { folder, settings, clock, log } = options;
  const bucket = new Bucket({ settings, clock });
  try {
    const isConditional = await reachBucket(bucket, options);
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

  async *list(signal: AbortSignal): AsyncGenerator<StoredArchive> {
    const { bucket, settings } = this.#parts;
    const objects = bucket.list(settings.prefix, signal);
    for (;;) {
      const next = await this.#speak(() => objects.next());
      if (next.done === true) return;
      const { key, bytes, changedAt } = next.value;
      const identifier = key.slice(settings.prefix.length, -SUFFIX.length);
      if (key.endsWith(SUFFIX) && IDENTIFIER_PATTERN.test(identifier))
        yield { identifier, bytes, keptAt: changedAt };
    }
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
    return `${this.#parts.settings.prefix}${author}/${name}:${version}@${checksum}${SUFFIX}`;
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
