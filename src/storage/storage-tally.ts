import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** How many values one plugin keeps for one Tenant, and how large they are together. */
export interface Tally {
  readonly keys: number;
  readonly bytes: number;
}

interface TallyOwner {
  readonly tenantId: string;
  readonly pluginId: string;
}

/** Others may have written the same storage meanwhile, the daemon for one. */
const TRUSTED_MS = 3_600_000;
/** Owners that this process has counted: with more, it counts again. */
const OWNERS_MAX = 10_000;

/**
 * The running size of plugins' storage, so that a write lists nothing. It stands in a file beside the locks, under which
 * it is read and written; where a process died in the middle of a write the file is gone, and so it is where the size is
 * not known. A process trusts it from its own first count on, for an hour.
 */
export class StorageTally {
  readonly #folder: string;
  readonly #countedAt = new Map<string, number>();

  constructor({ lockFolder }: { readonly lockFolder: string }) {
    this.#folder = lockFolder;
  }

  /** Undefined: whoever wants to know has to count, and to `keep` it. */
  async read(owner: TallyOwner): Promise<Tally | undefined> {
    const path = this.#pathOf(owner);
    const countedAt = this.#countedAt.get(path);
    if (countedAt === undefined || performance.now() - countedAt > TRUSTED_MS) {
      this.#countedAt.delete(path);
      return undefined;
    }
    const [, keys, bytes] = /^(\d+) (\d+)\n$/.exec(await readFile(path, "utf8").catch(() => "")) ?? [];
    return bytes === undefined ? undefined : { keys: Number(keys), bytes: Number(bytes) };
  }

  /** Before the storage is changed: until `keep`, its size is not known. */
  async forget(owner: TallyOwner): Promise<void> {
    await rm(this.#pathOf(owner), { force: true });
  }

  async keep(owner: TallyOwner, { keys, bytes }: Tally): Promise<void> {
    const path = this.#pathOf(owner);
    await mkdir(this.#folder, { recursive: true });
    // half of it is told by the missing end
    await writeFile(path, `${keys} ${bytes}\n`);
    if (this.#countedAt.size >= OWNERS_MAX) this.#countedAt.clear();
    if (!this.#countedAt.has(path)) this.#countedAt.set(path, performance.now());
  }

  /** Of all plugins of the Tenant. */
  async forgetAll(tenantId: string): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names)
      if (name.startsWith(`${tenantId}.`)) await rm(join(this.#folder, name), { force: true });
  }

  #pathOf({ tenantId, pluginId }: TallyOwner): string {
    const plugin = createHash("sha256").update(pluginId).digest("hex");
    return join(this.#folder, `${tenantId}.${plugin}.tally`);
  }
}
