/**
 * A file that is appended to and rotated by size. Lines are gathered and written together. A line that a crash cut in
 * half is removed when the file is opened again, so that every line in it is whole.
 */
import { type FileHandle, open, rename, rm, truncate } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";

const PENDING_BYTES_MAX = 1024 * 1024;

export class RotatedFile implements AsyncDisposable {
  readonly #pathOf: (age: number) => string;
  readonly #bytesMax: number;
  readonly #files: number;
  #handle: FileHandle;
  #bytes: number;
  #pending: string[] = [];
  #pendingBytes = 0;
  #flushing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  private constructor(
    handle: FileHandle,
    bytes: number,
    options: { pathOf: (age: number) => string; bytesMax: number; files: number },
  ) {
    this.#handle = handle;
    this.#bytes = bytes;
    this.#pathOf = options.pathOf;
    this.#bytesMax = options.bytesMax;
    this.#files = options.files;
  }

  /** `pathOf(0)` is the current file, `pathOf(n)` its n-th predecessor; `files` are kept in all. */
  static async open(options: {
    pathOf: (age: number) => string;
    bytesMax: number;
    files: number;
  }): Promise<RotatedFile> {
    const path = options.pathOf(0);
    const bytes = await dropPartialLine(path);
    return new RotatedFile(await open(path, "a", 0o640), bytes, options);
  }

  /**
   * Resolves when there is room for more lines, possibly before this one is on disk. Throws the failure of an earlier
   * line (a full disk, for example): then nothing more is written, and the caller must open the file again.
   */
  async write(line: string): Promise<void> {
    this.#throwFailure();
    this.#pending.push(line);
    this.#pendingBytes += Buffer.byteLength(line);
    this.#flushing ??= this.#flush();
    if (this.#pendingBytes > PENDING_BYTES_MAX) await this.flush();
  }

  /** Resolves when all lines are on disk; throws as `write` does. */
  async flush(): Promise<void> {
    await this.#flushing;
    this.#throwFailure();
  }

  /** Does not report lines that could not be written; `flush` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flushing;
    await this.#handle.close().catch(() => undefined);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Never rejects, because it may have no caller that waits. */
  async #flush(): Promise<void> {
    try {
      // Waits one turn of the event loop, so that a burst costs one write and not one per line.
      await nextTurn();
      while (this.#pending.length > 0) {
        const text = this.#pending.join("");
        const bytes = this.#pendingBytes;
        this.#pending = [];
        this.#pendingBytes = 0;
        if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) await this.#rotate();
        await this.#handle.appendFile(text);
        this.#bytes += bytes;
      }
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#flushing = undefined;
    }
  }

  async #rotate(): Promise<void> {
    await this.#handle.close();
    await rm(this.#pathOf(this.#files - 1), { force: true });
    for (let age = this.#files - 2; age >= 0; age -= 1) {
      await rename(this.#pathOf(age), this.#pathOf(age + 1)).catch(ignoreMissing);
    }
    this.#handle = await open(this.#pathOf(0), "a", 0o640);
    this.#bytes = 0;
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

/** Answers the size that remains; 0 if there is no file. */
async function dropPartialLine(path: string): Promise<number> {
  const handle = await open(path, "r").catch(() => undefined);
  if (handle === undefined) return 0;
  try {
    const { size } = await handle.stat();
    const chunk = Buffer.alloc(64 * 1024);
    for (let end = size; end > 0; end -= chunk.length) {
      const start = Math.max(0, end - chunk.length);
      const { bytesRead } = await handle.read(chunk, 0, end - start, start);
      const newline = chunk.subarray(0, bytesRead).lastIndexOf(10);
      if (newline < 0) continue;
      const whole = start + newline + 1;
      if (whole < size) await truncate(path, whole);
      return whole;
    }
    if (size > 0) await truncate(path, 0);
    return 0;
  } finally {
    await handle.close();
  }
}
