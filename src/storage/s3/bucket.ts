/** One bucket: its requests with their deadlines and retries. */
import { createReadStream, createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type S3Client,
} from "@aws-sdk/client-s3";
import { Fault } from "../../domain/fault.ts";
import { backoffMs } from "../../util/backoff.ts";
import type { Clock } from "../../util/clock.ts";
import { sha256 } from "../../util/sha256.ts";
import { createClient, DIGEST_FIELD, type PutHeaders, putCommand } from "./client.ts";
import { type BucketFailure, readFailure } from "./failures.ts";
import { type FileDigest, HashingStream } from "./file-digest.ts";
import type { BucketSettings } from "./settings.ts";

export interface BucketOptions {
  readonly settings: BucketSettings;
  readonly clock: Clock;
}

export interface Download extends FileDigest {
  /** Digest recorded by Berth; undefined for an object that something else has stored. */
  readonly sha256Put: string | undefined;
}

export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
  readonly changedAt: Date;
}

/** A request that failed. `why` contains no secret; the vendor's own error is not passed on. */
export class RequestFailed extends Error {
  readonly failure: BucketFailure;

  constructor(failure: BucketFailure) {
    super(failure.why);
    this.name = "RequestFailed";
    this.failure = failure;
  }
}

/** Requests throw `RequestFailed`, the reason of the signal that aborted them, or the error of a local file. */
export class Bucket {
  readonly #settings: BucketSettings;
  readonly #clock: Clock;
  readonly #client: S3Client;
  readonly #closed = new AbortController();
  #accepted: PutHeaders = { checksum: true, condition: true };

  constructor({ settings, clock }: BucketOptions) {
    this.#settings = settings;
    this.#clock = clock;
    this.#client = createClient(settings);
  }

  /** Closes connections; requests under way fail. */
  close(): void {
    this.#closed.abort(new Fault("shutting_down", "Berth is stopping."));
    this.#client.destroy();
  }

  /** One request, without retries. */
  async ping(signal?: AbortSignal): Promise<void> {
    await this.#once(signal, (abortSignal) =>
      this.#client.send(new HeadBucketCommand({ Bucket: this.#settings.bucket }), { abortSignal }),
    );
  }

  async exists(key: string): Promise<boolean> {
    return (await this.size(key)) !== undefined;
  }

  /** Undefined where there is no such object. */
  async size(key: string): Promise<number | undefined> {
    return await this.#repeat(undefined, (abortSignal) => this.#head(key, abortSignal));
  }

  /** What the server accepts: all later puts carry no other of these headers. */
  accepts(headers: PutHeaders): void {
    this.#accepted = headers;
  }

  /** Stores a few bytes with exactly these headers, as other puts do, but without retries. */
  async tryPut(key: string, bytes: Uint8Array, headers: PutHeaders): Promise<void> {
    await this.#once(undefined, (abortSignal) =>
      this.#client.send(this.#putOf(key, bytes, headers), { abortSignal }),
    );
  }

  /**
   * Stores a whole file, with its digest, which the server verifies. With `onlyNew` only where the object does not
   * exist: where the server knows the condition, one of several puts at once wins.
   */
  async putFile(key: string, path: string, { digest, onlyNew }: PutOptions): Promise<PutOutcome> {
    const headers = { ...this.#accepted, condition: onlyNew && this.#accepted.condition };
    try {
      return await this.#repeat(undefined, async (abortSignal) => {
        // A server that refuses in the middle of the bytes often closes the connection, and its answer is lost.
        if (onlyNew && (await this.#head(key, abortSignal)) !== undefined) return "exists";
        const body = createReadStream(path);
        const read = readable(body);
        const put = { ...this.#object(key), Body: body, ContentType: "application/zip" };
        try {
          await this.#client.send(putCommand({ ...put, digest, headers }), {
            abortSignal: AbortSignal.any([abortSignal, read.broken]),
          });
        } catch (error) {
          read.broken.throwIfAborted();
          throw error;
        } finally {
          body.destroy();
        }
        return "created";
      });
    } catch (error) {
      if (onlyNew && error instanceof RequestFailed && error.failure.kind === "exists") return "exists";
      throw error;
    }
  }

  /** Writes the object to a file that does not exist yet; undefined where there is no such object. */
  async getFile(key: string, path: string, signal?: AbortSignal): Promise<Download | undefined> {
    try {
      return await this.#repeat(signal, async (abortSignal) => {
        const answer = await this.#client.send(new GetObjectCommand(this.#object(key)), { abortSignal });
        if (!(answer.Body instanceof Readable)) throw new Error("the client answered without a stream");
        const hashing = new HashingStream();
        await pipeline(answer.Body, hashing, createWriteStream(path, { mode: 0o600 }), {
          signal: abortSignal,
        });
        const digest = hashing.digest();
        if (answer.ContentLength !== undefined && answer.ContentLength !== digest.bytes) throw cutShort();
        return { ...digest, sha256Put: answer.Metadata?.[DIGEST_FIELD] };
      });
    } catch (error) {
      if (error instanceof RequestFailed && error.failure.kind === "missing") return undefined;
      throw error;
    }
  }

  /** Stores a few bytes, replacing an existing object. */
  async putBytes(key: string, bytes: Uint8Array): Promise<void> {
    const headers = { ...this.#accepted, condition: false };
    await this.#repeat(undefined, (abortSignal) =>
      this.#client.send(this.#putOf(key, bytes, headers), { abortSignal }),
    );
  }

  /** Reads into memory; undefined where there is no such object. */
  async getBytes(key: string): Promise<Buffer | undefined> {
    try {
      return await this.#repeat(undefined, async (abortSignal) => {
        const answer = await this.#client.send(new GetObjectCommand(this.#object(key)), { abortSignal });
        if (answer.Body === undefined) throw cutShort();
        const bytes = Buffer.from(await answer.Body.transformToByteArray());
        if (answer.ContentLength !== undefined && answer.ContentLength !== bytes.length) throw cutShort();
        return bytes;
      });
    } catch (error) {
      if (error instanceof RequestFailed && error.failure.kind === "missing") return undefined;
      throw error;
    }
  }

  async remove(key: string): Promise<void> {
    await this.#repeat(undefined, (abortSignal) =>
      this.#client.send(new DeleteObjectCommand(this.#object(key)), { abortSignal }),
    );
  }

  /** Every object whose key begins with the prefix. */
  async *list(prefix: string, signal: AbortSignal): AsyncGenerator<ListedObject> {
    let next: string | undefined;
    do {
      const after = next === undefined ? {} : { ContinuationToken: next };
      const request = { Bucket: this.#settings.bucket, Prefix: prefix, ...after };
      const answer = await this.#repeat(signal, (abortSignal) =>
        this.#client.send(new ListObjectsV2Command(request), { abortSignal }),
      );
      for (const { Key, Size, LastModified } of answer.Contents ?? []) {
        if (Key !== undefined) yield { key: Key, bytes: Size ?? 0, changedAt: LastModified ?? new Date(0) };
      }
      next = answer.NextContinuationToken;
    } while (next !== undefined);
  }

  async #head(key: string, abortSignal: AbortSignal): Promise<number | undefined> {
    try {
      const answer = await this.#client.send(new HeadObjectCommand(this.#object(key)), { abortSignal });
      return answer.ContentLength ?? 0;
    } catch (error) {
      if (readFailure(error).kind === "missing") return undefined;
      throw error;
    }
  }

  #putOf(key: string, bytes: Uint8Array, headers: PutHeaders) {
    const digest = { bytes: bytes.length, sha256: sha256(bytes) };
    return putCommand({ ...this.#object(key), Body: bytes, digest, headers });
  }

  #object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#settings.bucket, Key: key };
  }

  /** Repeats the request while its failures may pass. Throws `RequestFailed`, or the signal's reason. */
  async #repeat<T>(signal: AbortSignal | undefined, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { attemptsMax, retryFirstMs, retryMaxMs } = this.#settings;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(signal, send);
      } catch (error) {
        const passes = error instanceof RequestFailed && error.failure.kind === "passing";
        if (!passes || attempt >= attemptsMax) throw error;
      }
      const delayMs = backoffMs(attempt, { firstMs: retryFirstMs, maxMs: retryMaxMs });
      await this.#clock.sleep(delayMs, this.#until(signal));
    }
  }

  async #once<T>(signal: AbortSignal | undefined, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const given = this.#until(signal);
    given.throwIfAborted();
    const late = AbortSignal.timeout(this.#settings.transferTimeoutMs);
    try {
      return await send(AbortSignal.any([given, late]));
    } catch (error) {
      given.throwIfAborted();
      // A local file that cannot be read or written is not a failure of the bucket.
      if (isOfDisk(error)) throw error;
      throw new RequestFailed(readFailure(late.aborted ? late.reason : error));
    }
  }

  #until(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#closed.signal : AbortSignal.any([signal, this.#closed.signal]);
  }
}

export interface PutOptions {
  readonly digest: FileDigest;
  readonly onlyNew: boolean;
}

export type PutOutcome = "created" | "exists";

/** Aborts with the cause when the file cannot be read; before the request starts nothing else listens for it. */
function readable(file: Readable): { readonly broken: AbortSignal } {
  const broken = new AbortController();
  file.once("error", (error) => broken.abort(error));
  return { broken: broken.signal };
}

function cutShort(): Error {
  return Object.assign(new Error("the answer is shorter than announced"), { code: "ECONNRESET" });
}

const DISK_CODES = new Set(["ENOSPC", "EDQUOT", "ENOENT", "EACCES", "EROFS", "EIO", "EMFILE", "ENFILE"]);

function isOfDisk(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && DISK_CODES.has(String(error.code)) && "syscall" in error
  );
}
