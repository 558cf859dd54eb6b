import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";

/** What the bytes are a part of: enough to ask a server for the rest of the same thing. */
const Origin = z.strictObject({
  key: z.string(),
  /** A strong entity tag or a date, as `If-Range` takes it. */
  validator: z.string().optional(),
  total: z.int().nonnegative().optional(),
});
export type Origin = z.infer<typeof Origin>;

/** A download that is not over yet: its bytes, and beside them what they are a part of. It outlives the process. */
export class PartialFile {
  readonly path: string;
  readonly #notePath: string;

  constructor(folder: string) {
    this.path = join(folder, "archive");
    this.#notePath = join(folder, "origin.json");
  }

  /** What is there of the download of this key, and how much; undefined: nothing that could be gone on with. */
  async find(key: string): Promise<(Origin & { readonly bytes: number }) | undefined> {
    try {
      const origin = Origin.parse(JSON.parse(await readFile(this.#notePath, "utf8")));
      const { size } = await stat(this.path);
      return origin.key === key && size > 0 ? { ...origin, bytes: size } : undefined;
    } catch {
      // Not there, or written half when the machine stopped: the download begins anew.
      return undefined;
    }
  }

  /** Begins anew. The note comes last, so that it never tells of the bytes of another download. */
  async begin(origin: Origin): Promise<void> {
    await this.clear();
    await writeFile(this.path, "", { mode: 0o600 });
    await writeFile(`${this.#notePath}.new`, JSON.stringify(origin), { mode: 0o600 });
    await rename(`${this.#notePath}.new`, this.#notePath);
  }

  async clear(): Promise<void> {
    for (const path of [this.#notePath, this.path]) await rm(path, { force: true });
  }

  /** Writes what comes behind what is there. */
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
