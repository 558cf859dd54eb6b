/**
 * The key of one Runtime: what its runner proves itself with at each process's socket. Plugin and runner have one user
 * id, so that a plugin can stop its runner and dial in its place; what it can not do is learn the key.
 *
 * The host keeps the key beside the Runtime's folder, where no Container sees it. A copy inside the folder is handed
 * out to the runner, which reads it before it starts the plugin and starts the plugin only when the copy is gone.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

/** The copy's name in the folder that the Container sees. */
export const HANDED_OUT_KEY = "key";

/** Where the host keeps the key of the Runtime with this folder. */
export function keptKeyFile(folder: string): string {
  return `${folder}.key`;
}

/** Whose kept key the file is; undefined for other files. */
export function parseKeptKeyFile(name: string): string | undefined {
  return /^(.+)\.key$/.exec(name)?.[1];
}

export interface ProvenHello {
  readonly hello: "data" | "control";
  /** Which of the runner's hellos it is: none is taken twice. */
  readonly count: number;
  readonly proof: string;
}

export class RunnerKey {
  readonly #folder: string;
  readonly #key: Buffer;

  private constructor(folder: string, key: Buffer) {
    this.#folder = folder;
    this.#key = key;
  }

  /** Makes a key and keeps it. To be called once in a Runtime's life, before anything else of it is there. */
  static async keepNew(folder: string): Promise<RunnerKey> {
    const key = randomBytes(32).toString("hex");
    await writeFile(keptKeyFile(folder), key, { mode: 0o600 });
    return new RunnerKey(folder, Buffer.from(key));
  }

  /** Puts the copy where the runner reads it. */
  async handOut(): Promise<void> {
    const copy = join(this.#folder, HANDED_OUT_KEY);
    await writeFile(copy, this.#key, { mode: 0o644 });
    // Whatever the umask was: the runner has a user id of its own.
    await chmod(copy, 0o644);
  }

  /** Undefined for a Runtime from before runners had keys; throws for one that is there and cannot be read. */
  static async find(folder: string): Promise<RunnerKey | undefined> {
    try {
      return new RunnerKey(folder, await readFile(keptKeyFile(folder)));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Whether the key's holder said this hello, and said it to this socket. */
  proves(socketPath: string, { hello, count, proof }: ProvenHello): boolean {
    const expected = createHmac("sha256", this.#key)
      .update(`${basename(socketPath)}\n${hello}\n${count}`)
      .digest();
    const said = Buffer.from(proof, "hex");
    return said.length === expected.length && timingSafeEqual(said, expected);
  }

  /** Takes the copy away: from here on the key cannot be read in the Container. Harmless when it is gone. */
  async retire(): Promise<void> {
    await rm(join(this.#folder, HANDED_OUT_KEY), { force: true });
  }
}
