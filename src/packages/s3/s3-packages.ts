/**
 * Archives as objects of a bucket, `AUTHOR/NAME:VERSION@CHECKSUM` below a folder: the paths of `disk/`, so that either can
 * be copied to the other. Once `keep` resolves, the bucket has the whole archive.
 */
import { rm } from "node:fs/promises";
import { Fault, isFault } from "../../domain/fault.ts";
import { IDENTIFIER_PATTERN, parsePackageRef } from "../../domain/package-ref.ts";
import type { Log } from "../../observe/log.ts";
import type { Bucket } from "../../storage/s3/bucket.ts";
import { digestOf } from "../../storage/s3/file-digest.ts";
import type { Speak } from "../../storage/s3/speak.ts";
import { KeyedLock } from "../../util/keyed-lock.ts";
import type { OpenedPackage, PackageStore, StagedFile, StoredArchive } from "../package-store.ts";
import type { PackageCache } from "./package-cache.ts";

export interface S3PackagesParts {
  readonly bucket: Bucket;
  readonly cache: PackageCache;
  /** A key is `start`, the identifier, `end`. */
  readonly keys: { readonly start: string; readonly end: string };
  readonly speak: Speak;
  readonly log: Log;
}

interface FetchedPackage extends OpenedPackage {
  /** Its bytes are those that Berth has stored. */
  readonly isVouchedFor: boolean;
}

export class S3Packages implements PackageStore {
  readonly #parts: S3PackagesParts;
  /** By identifier: an archive that is opened several times at once is fetched once. */
  readonly #fetching = new KeyedLock<string>();

  constructor(parts: S3PackagesParts) {
    this.#parts = parts;
  }

  async stage(): Promise<StagedFile> {
    const path = await this.#parts.cache.newPath();
    return { path, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
  }

  async keep(staged: StagedFile, identifier: string): Promise<void> {
    const key = this.#keyOf(identifier);
    const digest = await digestOf(staged.path);
    const { bucket, cache, log } = this.#parts;
    const put = (onlyNew: boolean) =>
      this.#parts.speak(() => bucket.putFile(key, staged.path, { digest, onlyNew }));
    await this.#fetching.run(identifier, async () => {
      if ((await put(true)) !== "created") {
        if (await this.#isWhole(identifier, key)) return;
        log.warn(
          { op: "package_store.mend", identifier },
          "replacing an archive that is damaged, or was not stored by Berth",
        );
        await put(false);
      }
      await (await cache.add(identifier, staged.path, digest))[Symbol.asyncDispose]();
    });
    await rm(staged.path, { force: true });
  }

  async has(identifier: string): Promise<boolean> {
    const key = this.#keyOf(identifier);
    return await this.#parts.speak(() => this.#parts.bucket.exists(key));
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
    await this.#parts.speak(() => this.#parts.bucket.remove(key));
    await this.#parts.cache.remove(identifier);
  }

  async *list(signal: AbortSignal): AsyncGenerator<StoredArchive> {
    const { bucket, keys } = this.#parts;
    const objects = bucket.list(keys.start, signal);
    for (;;) {
      const next = await this.#parts.speak(() => objects.next());
      if (next.done === true) return;
      const { key, bytes, changedAt } = next.value;
      const identifier = key.slice(keys.start.length, key.length - keys.end.length);
      if (key.endsWith(keys.end) && IDENTIFIER_PATTERN.test(identifier))
        yield { identifier, bytes, keptAt: changedAt };
    }
  }

  async ping(signal: AbortSignal): Promise<void> {
    await this.#parts.speak(() => this.#parts.bucket.ping(signal));
  }

  /** Reads the stored archive. One without a digest, because Berth did not store it, counts as not whole. */
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
      const got = await this.#parts.speak(() => bucket.getFile(key, path, signal));
      if (got === undefined) throw notFound(identifier);
      if (got.sha256Put !== undefined && got.sha256Put !== got.sha256) throw damaged(identifier);
      return { ...(await cache.add(identifier, path, got)), isVouchedFor: got.sha256Put !== undefined };
    } finally {
      await rm(path, { force: true });
    }
  }

  /** Parses the identifier first: nothing else becomes a key. */
  #keyOf(identifier: string): string {
    const { author, name, version, checksum } = parsePackageRef(identifier);
    const { start, end } = this.#parts.keys;
    return `${start}${author}/${name}:${version}@${checksum}${end}`;
  }
}

function notFound(identifier: string): Fault {
  return new Fault(
    "package_not_found",
    `The archive of ${identifier} is not stored; upload the package first.`,
    {
      details: { field: "identifier", value: identifier },
    },
  );
}

function damaged(identifier: string): Fault {
  return new Fault(
    "package_damaged",
    `The stored archive of ${identifier} is damaged: upload the package again.`,
    { details: { field: "identifier", value: identifier } },
  );
}
