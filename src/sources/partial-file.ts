import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";

/** Identifies the download that the bytes belong to, with what a server needs to send the rest of the same file. */
const Origin = z.strictObject({
  key: z.string(),
  /** A strong entity tag or a date, for `If-Range`. */
  validator: z.string().optional(),
  total: z.int().nonnegative().optional(),
});
export type Origin = z.infer<typeof Origin>;

/** An unfinished download on disk: its bytes, and beside them their origin. It survives the process. */
export class PartialFile {
  readonly path: string;
  readonly #notePath: string;

  constructor(folder: string) {
    this.path = join(folder, "archive");
    this.#notePath = join(folder, "origin.json");
  }

  /** The origin and number of the bytes of this key's download; undefined where there is nothing to resume. */
  async find(key: string): Promise<(Origin & { readonly bytes: number }) | undefined> {
    try {
      const origin = Origin.parse(JSON.parse(await readFile(this.#notePath, "utf8")));
      const { size } = await stat(this.path);
      return origin.key === key && size > 0 ? { ...origin, bytes: size } : undefined;
    } catch {
      // Missing, or partly written when the machine stopped: the download starts over.
      return undefined;
    }
  }

  /** Starts over. The origin is written last, so that it never describes the bytes of another download. */
  async begin(origin: Origin): Promise<void> {
    await this.clear();
    await writeFile(this.path, "", { mode: 0o600 });
    await writeFile(`${this.#notePath}.new`, JSON.stringify(origin), { mode: 0o600 });
    await rename(`${this.#notePath}.new`, this.#notePath);
  }

  async clear(): Promise<void> {
    for (const path of [this.#notePath, this.path]) await rm(path, { force: true });
  }

  /** Appends the chunks; calls `onBytes` with the length of each one once it is written. */
  async append(chunks: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): Promise<void> {
    await using file = await open(this.path, "a", 0o600);
    for await (const chunk of chunks) {
      await file.appendFile(chunk);
      onBytes(chunk.length);
    }
  }

  /** SHA-256 of all bytes, hex. */
  async sha256(): Promise<string> {
    const hash = createHash("sha256");
    await pipeline(createReadStream(this.path), hash);
    return hash.digest("hex");
  }
}
