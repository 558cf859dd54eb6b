/**
 * The key with which a runtime's runner authenticates at the socket of each process. Plugin and runner have the same user
 * id, so a plugin can stop its runner and dial in its place, but it cannot learn the key.
 *
 * The host stores the key beside the runtime's folder, where no container sees it. The runner reads a copy inside the
 * folder, and starts the plugin only when that copy is removed.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

/** The copy's name in the folder that the container sees. */
export const HANDED_OUT_KEY = "key";

/** Where the host keeps the key of the runtime with this folder. */
export function keptKeyFile(folder: string): string {
  return `${folder}.key`;
}

/** The runtime whose stored key the file is; undefined for other files. */
export function parseKeptKeyFile(name: string): string | undefined {
  return /^(.+)\.key$/.exec(name)?.[1];
}

export interface ProvenHello {
  readonly hello: "data" | "control";
  /** Number of the hello; none is accepted twice. */
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

  /** Makes and stores a key. Call it once in a runtime's life, before anything else of it exists. */
  static async keepNew(folder: string): Promise<RunnerKey> {
    const key = randomBytes(32).toString("hex");
    await writeFile(keptKeyFile(folder), key, { mode: 0o600 });
    return new RunnerKey(folder, Buffer.from(key));
  }

  /** Writes the copy that the runner reads. */
  async handOut(): Promise<void> {
    const copy = join(this.#folder, HANDED_OUT_KEY);
    await writeFile(copy, this.#key, { mode: 0o644 });
    // Whatever the umask is: the runner has another user id.
    await chmod(copy, 0o644);
  }

  /** Undefined for a runtime from before runners had keys; throws if the key cannot be read. */
  static async find(folder: string): Promise<RunnerKey | undefined> {
    try {
      return new RunnerKey(folder, await readFile(keptKeyFile(folder)));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Whether the hello comes from the holder of the key and is meant for this socket. */
  proves(socketPath: string, { hello, count, proof }: ProvenHello): boolean {
    const expected = this.#proofOf(socketPath, hello, count);
    const given = Buffer.from(proof, "hex");
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  /** The hello with its proof, for whoever is the runner on this side. */
  prove(socketPath: string, { hello, count }: Pick<ProvenHello, "hello" | "count">): ProvenHello {
    return { hello, count, proof: this.#proofOf(socketPath, hello, count).toString("hex") };
  }

  #proofOf(socketPath: string, hello: string, count: number): Buffer {
    return createHmac("sha256", this.#key)
      .update(`${basename(socketPath)}\n${hello}\n${count}`)
      .digest();
  }

  /** Removes the copy: after that the key cannot be read in the container. Harmless if it is removed already. */
  async retire(): Promise<void> {
    await rm(join(this.#folder, HANDED_OUT_KEY), { force: true });
  }
}
