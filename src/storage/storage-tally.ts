import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** How many values one plugin stores for one tenant, and their total size. */
export interface Tally {
  readonly keys: number;
  readonly bytes: number;
}

interface TallyOwner {
  readonly tenantId: string;
  readonly pluginId: string;
}

/** Others, for example the daemon, may have written to the same storage since. */
const TRUSTED_MS = 3_600_000;
/** Owners that this process has counted; beyond this it starts over. */
const OWNERS_MAX = 10_000;

/**
 * The running size of plugins' storage, so that a write needs no listing. It is a file beside the locks, read and
 * written under a lock. The file is missing where the size is not known, also after a process died in the middle of a
 * write. A process trusts it for an hour after its own first count.
 */
export class StorageTally {
  readonly #folder: string;
  readonly #countedAt = new Map<string, number>();

  constructor({ lockFolder }: { readonly lockFolder: string }) {
    this.#folder = lockFolder;
  }

  /** Undefined: the caller must count, and then `write` the result. */
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

  /** Called before the storage is changed: until `write`, its size is not known. */
  async clear(owner: TallyOwner): Promise<void> {
    await rm(this.#pathOf(owner), { force: true });
  }

  async write(owner: TallyOwner, { keys, bytes }: Tally): Promise<void> {
    const path = this.#pathOf(owner);
    await mkdir(this.#folder, { recursive: true });
    // a half-written line lacks its end
    await writeFile(path, `${keys} ${bytes}\n`);
    if (this.#countedAt.size >= OWNERS_MAX) this.#countedAt.clear();
    if (!this.#countedAt.has(path)) this.#countedAt.set(path, performance.now());
  }

  /** For all plugins of the tenant. */
  async clearAll(tenantId: string): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names)
      if (name.startsWith(`${tenantId}.`)) await rm(join(this.#folder, name), { force: true });
  }

  #pathOf({ tenantId, pluginId }: TallyOwner): string {
    const plugin = createHash("sha256").update(pluginId).digest("hex");
    return join(this.#folder, `${tenantId}.${plugin}.tally`);
  }
}
