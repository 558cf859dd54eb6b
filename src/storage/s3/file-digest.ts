import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { Transform, type TransformCallback } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Size and digest of a file. */
export interface FileDigest {
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
}

/** Passes bytes through, and counts and hashes them. */
export class HashingStream extends Transform {
  readonly #hash = createHash("sha256");
  #bytes = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#bytes += chunk.length;
    this.#hash.update(chunk);
    done(null, chunk);
  }

  /** To be called once, after the last byte. */
  digest(): FileDigest {
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }
}

/** Reads the whole file. */
export async function digestOf(path: string): Promise<FileDigest> {
  const hashing = new HashingStream();
  await pipeline(createReadStream(path), hashing.resume());
  return hashing.digest();
}
